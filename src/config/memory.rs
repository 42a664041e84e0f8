//! Memory this process may use: the limit of its control groups, or else the memory of the machine.

use std::fs;
use std::path::Path;

/// Assumed memory if neither is known.
const UNKNOWN: u64 = 4 << 30;

/// Default memory budget: a quarter of the memory this process may use, in bytes.
pub(super) fn default_budget() -> usize {
    let allowed = control_groups().into_iter().chain(machine()).min().unwrap_or(UNKNOWN);
    usize::try_from(allowed / 4).unwrap_or(usize::MAX)
}

/// Memory that this process has in use, in bytes, where the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// The limits of the control groups of this process and of their ancestors.
fn control_groups() -> Vec<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut limits = Vec::new();
    for line in groups.lines() {
        // hierarchy:controllers:path
        let rest = line.split_once(':').map(|(_, rest)| rest);
        let Some((controllers, path)) = rest.and_then(|rest| rest.split_once(':')) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // Inside a container the path may be that of the host; the root is then its own group.
        let group = Path::new(root).join(path.trim_start_matches('/'));
        let above = group.ancestors().take_while(|folder| folder.starts_with(root));
        limits.extend(above.filter_map(|folder| limit(&fs::read_to_string(folder.join(file)).ok()?)));
    }
    limits
}

/// A limit in the kernel's format; `None` is no limit.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn machine() -> Option<u64> {
    total(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_numbers_are_read() {
        assert_eq!(limit("536870912\n"), Some(512 << 20));
        assert_eq!(limit("max\n"), None);
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       24689764 kB\n"), Some(24_689_764 * 1024));
        assert_eq!(total(""), None);
    }

    #[test]
    fn a_quarter_of_something_is_the_default() {
        assert!(default_budget() >= 1 << 20);
    }
}
