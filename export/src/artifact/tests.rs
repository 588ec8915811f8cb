use std::path::PathBuf;

use super::*;

/// Looks at `bytes` as a file called `name`.
fn look(name: &str, bytes: &[u8]) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let found = inspect(&path, ArtifactKind::Weights, "there".into());
    let found = found.map_err(|error| error.to_string().split_once(": ").unwrap().1.to_owned())?;
    assert_eq!((found.details.bytes, found.sha256.len()), (bytes.len() as u64, 64));
    Ok(found.details.holds.unwrap_or_default())
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_lie_one_after_the_other_to_the_end() {
    let two = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
    assert_eq!(look("a.safetensors", &safetensors(two, 12)), Ok("2 tensors".into()));
    assert_eq!(look("a.safetensors", &safetensors("{}", 0)), Ok("0 tensors".into()));
    let faulty = [
        (safetensors(two, 13), "it is no whole safetensors file: its tensors take 12 bytes, 13 follow the header"),
        (
            safetensors(&two.replace("[8,12]", "[9,13]"), 13),
            "it is no whole safetensors file: a tensor begins at 9, the one before it ends at 8",
        ),
        (
            safetensors(&two.replace("F16", "F17"), 12),
            "it is no whole safetensors file: its header: tensor \"b\" has the type \"F17\"",
        ),
        (
            safetensors(&two.replace("[2]", "[4294967296,4294967296,2]"), 12),
            "it is no whole safetensors file: its header: tensor \"b\" is said to be at 8 to 12, which is not as long as it is",
        ),
        (
            safetensors("[]", 0),
            "it is no whole safetensors file: its header: invalid type: sequence, expected an object of tensors",
        ),
        (
            u64::MAX.to_le_bytes().to_vec(),
            "it is no whole safetensors file: its header claims 18446744073709551615 bytes, at most",
        ),
        (
            (1_u64 << 20).to_le_bytes().to_vec(),
            "it is no whole safetensors file: 1048576 bytes are said to follow byte 8, and 0 do",
        ),
    ];
    for (bytes, reason) in faulty {
        let found = look("a.safetensors", &bytes).unwrap_err();
        assert!(found.starts_with(reason), "{found}");
    }
}

#[test]
fn an_artifact_lies_below_its_folder_whatever_a_row_says_of_its_digest() {
    let details = ArtifactDetails {
        kind: "weights".into(),
        bytes: 1,
        place: "../../etc/passwd".into(),
        format: None,
        holds: None,
    };
    let artifact = Artifact {
        name: "n".into(),
        vendor: None,
        model: None,
        contract: None,
        workload: None,
        sha256: "../../../escaped".into(),
        details,
        registered_on: "2026-11-20".into(),
        note: None,
    };
    let index = Index::new(vec![artifact], true);
    assert_eq!(index.carried().into_keys().collect::<Vec<_>>(), ["data/artifacts/ecaed-passwd"]);
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let error = inspect(Path::new("/dev/zero"), ArtifactKind::Weights, "there".into()).unwrap_err();
    assert!(error.to_string().ends_with("it is no regular file"), "{error}");
}

fn gguf(tensors: u64, entries: u64, rest: &[u8]) -> Vec<u8> {
    [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes(), rest].concat()
}

#[test]
fn gguf_is_walked_and_its_counts_are_not_believed() {
    let text = |text: &str| [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat();
    let architecture = [text("general.architecture"), 8_u32.to_le_bytes().to_vec(), text("llama")].concat();
    let list = [9_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat();
    let list = [text("sizes"), list, 2_u64.to_le_bytes().to_vec(), vec![0; 8]].concat();
    let one =
        [1_u32.to_le_bytes().as_slice(), &4_u64.to_le_bytes(), &0_u32.to_le_bytes(), &0_u64.to_le_bytes()].concat();
    let tensor = [text("output.weight"), one].concat();
    let whole = [architecture, list, tensor, vec![0; 48]].concat();
    assert_eq!(look("m.gguf", &gguf(1, 2, &whole)), Ok("1 tensors, 2 entries of metadata".into()));
    for (bytes, reason) in [
        (
            gguf(1 << 40, 2, &whole),
            "it is no whole gguf file: it claims 1099511627776 tensors, for which it is too short",
        ),
        (
            gguf(1, 1 << 60, &whole),
            "it is no whole gguf file: it claims 1152921504606846976 entries, for which it is too short",
        ),
        (
            gguf(1, 2, &u64::MAX.to_le_bytes().repeat(16)),
            "it is no whole gguf file: 18446744073709551615 bytes are said to follow byte 32",
        ),
        (b"GGML".repeat(9), "it is no whole gguf file: it does not begin with GGUF"),
    ] {
        let found = look("m.gguf", &bytes).unwrap_err();
        assert!(found.starts_with(reason), "{found}");
    }
}

#[test]
fn onnx_has_a_graph_and_an_operator_set() {
    let (version, graph, operators): (&[u8], &[u8], &[u8]) = (&[0x08, 9], &[0x3a, 2, 0x12, 0], &[0x42, 2, 0x10, 21]);
    assert_eq!(look("m.onnx", &[version, graph, operators].concat()), Ok("a graph, IR version 9".into()));
    for (bytes, reason) in [
        ([graph, operators].concat(), "it is no whole onnx file: it says no IR version"),
        ([version, operators].concat(), "it is no whole onnx file: it has no graph"),
        ([version, graph].concat(), "it is no whole onnx file: it names no operator set"),
        (
            [version, &[0x3a, 0xff, 0xff, 0x03]].concat(),
            "it is no whole onnx file: 65535 bytes are said to follow byte 6, and 0 do",
        ),
        (vec![0xff; 12], "it is no whole onnx file: at byte 10 a number has no end"),
        (b"\x80\x02}q\x00.".to_vec(), "it is no whole onnx file: "),
    ] {
        let found = look("m.onnx", &bytes).unwrap_err();
        assert!(found.starts_with(reason), "{found}");
    }
}

fn npy(header: &str, data: usize) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn npy_has_the_bytes_of_its_shape_and_no_pickled_object() {
    let header =
        |kind: &str, shape: &str| format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    assert_eq!(look("v.npy", &npy(&header("<f4", "(2, 3)"), 24)), Ok("<f4 of shape (2, 3)".into()));
    assert_eq!(look("v.npy", &npy(&header("<U2", "(1,)"), 8)), Ok("<U2 of shape (1,)".into()));
    assert_eq!(look("v.npy", &npy(&header("<M8[ns]", "()"), 8)), Ok("<M8[ns] of shape ()".into()));
    for (bytes, reason) in [
        (
            npy(&header("<f4", "(2, 3)"), 23),
            "it is no whole npy file: <f4 of shape (2, 3) does not take the 23 bytes that follow",
        ),
        (npy(&header("<f4", "(4294967296, 4294967296, 4294967296)"), 0), "it is no whole npy file: <f4 of shape"),
        (npy(&header("|O", "(1,)"), 8), "it is no whole npy file: it holds pickled objects"),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
            "it is no whole npy file: its header claims 4294967295 bytes, at most 65536",
        ),
    ] {
        let found = look("v.npy", &bytes).unwrap_err();
        assert!(found.starts_with(reason), "{found}");
    }
}

#[test]
fn lines_are_objects_and_other_names_are_taken_as_they_are() {
    assert_eq!(look("s.jsonl", b"{\"messages\":[]}\n{}"), Ok("2 lines".into()));
    assert_eq!(look("s.jsonl", b"{}\n[]\n").unwrap_err(), "it is no whole jsonl file: line 2 is no JSON object");
    assert!(
        look("s.jsonl", b"{}\n\n")
            .unwrap_err()
            .starts_with("it is no whole jsonl file: line 2 is not JSON, from column ")
    );
    assert!(look("e.parquet", b"PAR1").unwrap_err().starts_with("it is no whole parquet file: it is too short"));
    assert_eq!(look("prompt.txt", b"You are"), Ok(String::new()));
    let missing = inspect(Path::new("/nowhere"), ArtifactKind::Weights, "there".into()).unwrap_err().to_string();
    assert_eq!(missing, "/nowhere cannot be registered: No such file or directory (os error 2)");
}
