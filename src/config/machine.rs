//! What this machine has.

use std::{fs, io, path::Path};

use rustix::{
    fs::{Access, access},
    process::{Resource, getrlimit},
};

/// Bytes of memory that the process may use: the machine's, or its control group's if that is less. `None` where the
/// system does not tell.
pub(super) fn memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let own = fs::read_to_string("/proc/self/cgroup").ok();
    // The group as the process sees it, and as a container does, where the own group is the root.
    let groups = [own.as_deref().and_then(group).unwrap_or_default(), ""];
    let limits = groups
        .iter()
        .filter_map(|group| fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.max")).ok()?.trim().parse().ok());
    limits.chain(machine).min()
}

/// Files that the process may have open once it has raised its limit as far as it may; `None` for any number.
pub(super) fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Whether this process can make files in a directory.
pub(super) fn directory(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The path of the process's group in the one hierarchy of version 2.
fn group(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(|path| path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_read() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:        2048 kB\n"), Some(2 << 20));
        assert_eq!(total("MemTotal: many\n"), None);
        assert_eq!(group("1:name=x:/y\n0::/system.slice/tidegate.service\n"), Some("/system.slice/tidegate.service"));
        assert_eq!(group("0::/\n"), Some(""));
    }

    #[test]
    fn a_directory_is_there_or_not() {
        assert!(directory(&std::env::temp_dir()).is_ok());
        assert_eq!(directory(Path::new("/dev/null")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(directory(Path::new("/no such directory")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
