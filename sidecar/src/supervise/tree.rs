//! Who has started whom, by what the system tells of all processes.

use std::collections::HashSet;

use rustix::process::Pid;

/// Processes that were started by those of `group`, by what these have started, and so on, and
/// have left the group. Nothing where `/proc` cannot be read.
pub(super) fn started_by(group: Pid) -> Vec<Pid> {
    let processes = procfs::process::all_processes().into_iter().flatten();
    // One that ends meanwhile is no error.
    let stats: Vec<_> = processes.filter_map(|p| p.ok()?.stat().ok()).collect();
    let group = group.as_raw_pid();
    let in_group = stats.iter().filter(|stat| stat.pgrp == group);
    let mut tree: HashSet<i32> = in_group.map(|stat| stat.pid).collect();
    let mut others = Vec::new();
    loop {
        let before = tree.len();
        for stat in &stats {
            if tree.contains(&stat.ppid) && tree.insert(stat.pid) {
                others.extend(Pid::from_raw(stat.pid));
            }
        }
        if tree.len() == before {
            return others;
        }
    }
}
