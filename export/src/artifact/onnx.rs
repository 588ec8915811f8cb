//! ONNX: one protobuf message, of which the outermost fields are walked.

use std::io::{BufRead, Seek};

use super::header::Header;

const IR_VERSION: u64 = 1;
const GRAPH: u64 = 7;
const OPERATOR_SETS: u64 = 8;
const FUNCTIONS: u64 = 25;

pub(super) fn read(header: &mut Header<impl BufRead + Seek>) -> Result<String, String> {
    let (mut version, mut has_graph, mut has_operators) = (None, false, false);
    while header.left() > 0 {
        let tag = varint(header)?;
        let field = tag >> 3;
        match tag & 7 {
            0 => {
                let value = varint(header)?;
                if field == IR_VERSION {
                    version = Some(value);
                }
            }
            1 => header.skip(8)?,
            2 => {
                let length = varint(header)?;
                header.skip(length)?;
                has_graph |= field == GRAPH;
                has_operators |= field == OPERATOR_SETS;
            }
            5 => header.skip(4)?,
            wire => return Err(format!("at byte {} it has no protobuf field (wire type {wire})", header.at())),
        }
        if field == 0 || field > FUNCTIONS + 1_000 {
            return Err(format!("field {field} is none of a model"));
        }
    }
    match (version, has_graph, has_operators) {
        (Some(version), true, true) => Ok(format!("a graph, IR version {version}")),
        (None, ..) => Err("it says no IR version".into()),
        (_, false, _) => Err("it has no graph".into()),
        (_, _, false) => Err("it names no operator set".into()),
    }
}

fn varint(header: &mut Header<impl BufRead + Seek>) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = header.array()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(format!("at byte {} a number has no end", header.at()))
}
