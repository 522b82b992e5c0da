//! What Linux tells of a process: whose child it is, the processor time it took, and the memory it held.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};

/// Clock ticks a second in `/proc`, the same on every Linux.
const TICKS: u64 = 100;

/// A point in a process's life.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// User and system time so far.
    pub(crate) cpu_ms: u64,
    /// What is resident now.
    pub(crate) resident_kib: u64,
    /// The most that was resident since [`forget_peak`].
    pub(crate) peak_kib: u64,
}

/// The renderers of pages below a browser's main process.
pub(crate) fn renderers(browser: u32) -> Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("/proc, where processes are looked at")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat"))
            && let Some(parent) = Stat::read(&stat).map(|stat| stat.parent)
        {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![browser];
    while let Some(id) = open.pop() {
        open.extend(children.get(&id).into_iter().flatten());
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        // A process that sets its title replaces the zeros between arguments by spaces.
        let line = String::from_utf8_lossy(&line);
        let has = |switch| line.split(['\0', ' ']).any(|word| word == switch);
        // The browser's own windows are drawn by such a process, too.
        if has("--type=renderer") && !has("--top-chrome-webui") {
            found.insert(id);
        }
    }
    Ok(found.into_iter().collect())
}

/// Where a process stands.
pub(crate) fn read(id: u32) -> Result<Reading> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let ticks = Stat::read(&stat).context("/proc/<id>/stat")?.ticks;
    Ok(Reading {
        cpu_ms: ticks * 1_000 / TICKS,
        resident_kib: kib(&status, "VmRSS:").context("VmRSS")?,
        peak_kib: kib(&status, "VmHWM:").context("VmHWM")?,
    })
}

/// Sets the peak to what is resident now.
pub(crate) fn forget_peak(id: u32) -> Result<()> {
    fs::write(format!("/proc/{id}/clear_refs"), "5").context("setting the peak back")
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn read(line: &str) -> Option<Stat> {
        // The program's name is in parentheses and may have any character in it.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Stat {
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
        })
    }
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_does_not_confuse_the_fields() {
        let stat = Stat::read("7 (a) b (c) S 3 7 7 0 -1 4 1 2 3 4 250 31 0 0 20 0 9 0 5 6")
            .expect("a line");
        assert_eq!((stat.parent, stat.ticks), (3, 281));
        assert!(Stat::read("").is_none());
    }

    #[test]
    fn memory_is_read_by_its_name() {
        let status = "VmPeak:\t  9 kB\nVmHWM:\t  5120 kB\nVmRSS:\t 4096 kB\n";
        assert_eq!(kib(status, "VmHWM:"), Some(5120));
        assert_eq!(kib(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_can_be_read_and_is_no_renderer() {
        let own = std::process::id();
        assert!(read(own).expect("a reading").resident_kib > 0);
        assert!(renderers(own).expect("a list").is_empty());
    }
}
