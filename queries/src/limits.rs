//! How much of the machine a query may use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry as _, ObjectStoreUrl};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use crate::Error;

/// Share of the memory a session takes if nothing else is said, in percent.
const MEMORY_SHARE_PERCENT: usize = 60;
/// What a session takes where the machine's memory cannot be read.
const MEMORY_FALLBACK_BYTES: usize = 2 << 30;
/// The operators named when memory runs out.
const CONSUMERS_NAMED: std::num::NonZeroUsize = match std::num::NonZeroUsize::new(3) {
    Some(number) => number,
    None => std::num::NonZeroUsize::MIN,
};
/// Footers of some 5,000 files stay in memory, so that the second query of a session reads none of them again.
const METADATA_CACHE_BYTES_MAX: usize = 512 << 20;

/// 60 % of what the control group, else the machine, allows.
pub(crate) fn default_memory_bytes() -> usize {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let groups = group_limit_files(&read(Path::new("/proc/self/cgroup")).unwrap_or_default());
    let limits = groups.iter().filter_map(|path| read(path)?.trim().parse::<usize>().ok());
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| machine_bytes(&text));
    let allowed = limits.chain(machine).min().unwrap_or(MEMORY_FALLBACK_BYTES);
    allowed / 100 * MEMORY_SHARE_PERCENT
}

/// Where the limits of this process's control group stand, in version 2 and version 1 of the hierarchy.
fn group_limit_files(own_groups: &str) -> Vec<PathBuf> {
    let mut files =
        vec![PathBuf::from("/sys/fs/cgroup/memory.max"), PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes")];
    if let Some(group) = own_groups.lines().find_map(|line| line.strip_prefix("0::/")) {
        files.push(Path::new("/sys/fs/cgroup").join(group).join("memory.max"));
    }
    files
}

fn machine_bytes(meminfo: &str) -> Option<usize> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1_024)
}

/// Reads an amount of memory: `512MB`, `2g`, `1GiB`, `1048576`. Units are powers of 1,024, as `ulimit` and `docker` count.
///
/// # Errors
/// [`Error::NotBytes`] for other text and for nothing at all.
pub fn parse_bytes(text: &str) -> Result<usize, Error> {
    let lower = text.trim().to_lowercase();
    let digits = lower.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = lower.strip_prefix(digits).unwrap_or_default().trim();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    let bytes = digits.parse::<usize>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| Error::NotBytes { text: text.into() })
}

/// A runtime that spills to disk beyond `memory_bytes_max` and knows no store yet.
pub(crate) fn runtime(
    memory_bytes_max: usize,
    spill_folder: Option<&Path>,
) -> Result<Arc<RuntimeEnv>, DataFusionError> {
    let pool = TrackConsumersPool::new(FairSpillPool::new(memory_bytes_max), CONSUMERS_NAMED);
    let mode = spill_folder
        .map_or(DiskManagerMode::OsTmpDirectory, |folder| DiskManagerMode::Directories(vec![folder.to_owned()]));
    let stores = DefaultObjectStoreRegistry::new();
    // Otherwise a query could name a file of this machine.
    stores.deregister_store(ObjectStoreUrl::local_filesystem().as_ref())?;
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode))
        .with_object_store_registry(Arc::new(stores))
        .with_metadata_cache_limit(METADATA_CACHE_BYTES_MAX.min(memory_bytes_max / 8))
        .build_arc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_with_its_unit() {
        for (text, bytes) in [("512MB", 512 << 20), ("2g", 2 << 30), ("1 GiB", 1 << 30), ("64k", 64 << 10), ("1", 1)] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "0", "MB", "1.5g", "-1", "2x", "99999999999999999999", "99999999999t"] {
            let error = parse_bytes(text).unwrap_err();
            assert_eq!(error.to_string(), format!("`{text}` is not an amount of memory"));
        }
    }

    #[test]
    fn the_machine_and_its_group_are_read() {
        assert_eq!(machine_bytes("MemTotal:       24119180 kB\nMemFree: 1 kB\n"), Some(24_119_180 * 1_024));
        let files = group_limit_files("0::/user.slice/a.scope\n");
        assert!(files.contains(&PathBuf::from("/sys/fs/cgroup/user.slice/a.scope/memory.max")));
        assert!(default_memory_bytes() > 1 << 20);
    }
}
