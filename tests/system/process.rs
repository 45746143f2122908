//! What a running process has used so far, as the kernel counts it.

use std::{fs, time::Duration};

/// Processor time of all its threads.
pub(crate) fn cpu(pid: i32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let spent = threads.map(|thread| {
        let text = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(spent.sum())
}

/// Memory that it occupies, KiB.
pub(crate) fn rss_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Bytes that it has read so far, from files and everything else.
pub(crate) fn read_bytes(pid: i32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// How many sockets it holds.
pub(crate) fn sockets(pid: i32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let is_socket = |path: std::path::PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    open.filter(|entry| entry.as_ref().is_ok_and(|entry| is_socket(entry.path()))).count()
}
