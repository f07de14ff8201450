//! System calls that a mirror never makes.
//!
//! The list names what is refused and not what is let through: what the libraries below may call changes
//! with their versions and the kernel's, and a call that is missing would end the program on somebody's
//! busiest day. What is here is what gives power over other processes, the kernel or the view of the file
//! system, and what the kernel's own mistakes were most often in.

use std::collections::BTreeMap;

use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use crate::program::confine::ConfineError;

type Calls = BTreeMap<libc::c_long, Vec<SeccompRule>>;

/// Into other processes.
const PROCESSES: [libc::c_long; 6] = [
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
];
/// Another view of the file system, or a way past its paths.
const MOUNTS: [libc::c_long; 16] = [
    libc::SYS_chroot,
    libc::SYS_fanotify_init,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_setns,
    libc::SYS_umount2,
];
/// The kernel and the machine.
const KERNEL: [libc::c_long; 29] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];
#[cfg(target_arch = "x86_64")]
const OF_THIS_MACHINE: [libc::c_long; 4] =
    [libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_kexec_file_load, libc::SYS_modify_ldt];
#[cfg(not(target_arch = "x86_64"))]
const OF_THIS_MACHINE: [libc::c_long; 0] = [];
/// Becoming another program.
const PROGRAMS: [libc::c_long; 2] = [libc::SYS_execve, libc::SYS_execveat];
/// What makes a new process one in namespaces of its own: a user namespace opens most of the kernel to
/// whoever is in it.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// What is refused with "not permitted".
///
/// # Errors
/// When a condition cannot be made.
pub(super) fn denied(may_start_programs: bool) -> Result<Calls, ConfineError> {
    let everything = PROCESSES.iter().chain(&MOUNTS).chain(&KERNEL).chain(&OF_THIS_MACHINE);
    let programs: &[libc::c_long] = if may_start_programs { &[] } else { &PROGRAMS };
    let always = everything.chain(programs).map(|number| (*number, Vec::new()));
    let namespaces = NAMESPACES.iter().map(|flag| with_flag(*flag));
    let namespaces = namespaces.collect::<Result<Vec<_>, _>>();
    let namespaces = namespaces.map_err(|error| ConfineError::Filter(Box::new(error)))?;
    Ok(always.chain([(libc::SYS_clone, namespaces)]).collect())
}

/// What is answered as if the kernel had it not: its arguments lie where a filter cannot look, and whoever
/// does not find it uses `clone`.
pub(super) fn absent() -> Calls {
    BTreeMap::from([(libc::SYS_clone3, Vec::new())])
}

/// That the first argument has `flag`.
fn with_flag(flag: libc::c_int) -> Result<SeccompRule, seccompiler::BackendError> {
    let flag = u64::from(flag.unsigned_abs());
    let condition =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_can_be_started_only_where_there_are_some() {
        assert!(denied(false).unwrap().contains_key(&libc::SYS_execve));
        assert!(!denied(true).unwrap().contains_key(&libc::SYS_execve));
        assert!(denied(true).unwrap().contains_key(&libc::SYS_ptrace));
    }

    #[test]
    fn nothing_that_a_mirror_needs_is_on_the_list() {
        let denied = denied(true).unwrap();
        let needed = [
            libc::SYS_openat,
            libc::SYS_renameat,
            libc::SYS_fsync,
            libc::SYS_mincore,
            libc::SYS_socket,
            libc::SYS_accept4,
            libc::SYS_setpriority,
            libc::SYS_sched_setaffinity,
            // What confines the programs that it runs.
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
            libc::SYS_seccomp,
            libc::SYS_prlimit64,
        ];
        for number in needed {
            assert!(!denied.contains_key(&number), "{number}");
        }
        // A plain fork has none of the flags, and with a rule each only those with one are refused.
        assert_eq!(denied[&libc::SYS_clone].len(), NAMESPACES.len());
    }
}
