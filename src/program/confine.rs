//! This process, before it becomes a foreign program: it gives up all that the other must not have.
//!
//! Three things do that, and none of them can be taken back, by it or what it starts: resource limits;
//! Landlock, for files, ports and signals; and a filter of system calls, because Landlock knows no
//! network but TCP, and for what ends with the process group. The last two are as good as the kernel:
//! what it cannot do is left out, and told by [`weaknesses`].
//!
//! Spec: <https://docs.kernel.org/userspace-api/landlock.html>

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule};

/// The hidden command of this program that becomes another one.
pub const COMMAND: &str = "isolated";
/// The code with which it ends when it cannot.
pub const NOT_STARTED: i32 = 125;

/// What programs commonly need to read, to run at all and to speak TLS. Nothing of a user's is in it, of
/// `/etc` only what says nothing of what this machine serves, and of processes only its own: what is in
/// the environment of this one is nobody else's matter.
pub const COMMON: [&str; 28] = [
    "/bin",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/etc/ca-certificates",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/gnu/store",
    "/lib",
    "/lib64",
    "/nix/store",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys",
    "/run/systemd/resolve",
    "/sbin",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/usr",
];
/// What it may write to wherever it is.
pub(crate) const WRITABLE: [&str; 1] = ["/dev/null"];
/// The newest Landlock that is used; an older kernel does what it can.
pub(crate) const NEWEST: ABI = ABI::V7;
/// Address space beyond the memory that can be written to: databases are mapped into it, and Go reserves
/// it without using it.
const MAPPED_BYTES_MAX: u64 = 64 << 30;
/// How much less than this program the other counts to the scheduler, as of nice(1).
const NICE: i32 = 10;
/// Where names are asked for when not by UDP.
const DNS_PORT: u16 = 53;
/// What a system call by the x32 way has in its number.
#[cfg(target_arch = "x86_64")]
const X32: libc::c_long = 0x4000_0000;

/// What a program may have.
#[derive(Debug, Clone)]
pub struct Confinement {
    /// The program; it may be read and run.
    pub program: PathBuf,
    /// What it may read beside [`COMMON`].
    pub read: Vec<PathBuf>,
    /// What it may write to.
    pub write: Vec<PathBuf>,
    /// The ports that it may connect to. Empty: no network at all.
    pub connect: Vec<u16>,
    /// Memory that it may write to, in bytes.
    pub memory: u64,
    /// Processor time, in seconds.
    pub processor: u64,
    /// Size of a file that it writes, in bytes.
    pub file: u64,
    /// Descriptors that it may have open.
    pub descriptors: u64,
}

/// Why a process cannot be confined, or cannot become the program.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The program cannot be run.
    #[error("{} cannot be run", .program.display())]
    Exec {
        /// The program.
        program: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The system calls cannot be filtered, although the kernel can do that.
    #[error("system calls cannot be filtered")]
    Filter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A resource cannot be limited.
    #[error("{what} cannot be limited")]
    Limit {
        /// Which.
        what: &'static str,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Landlock does not take the rules.
    #[error("files and ports cannot be confined")]
    Rules(#[from] RulesetError),
}

impl Confinement {
    /// Confines this process, and makes it the program with `arguments`.
    ///
    /// # Errors
    /// When that cannot be done. The process is confined by then, or partly, and should end.
    pub fn become_program(&self, arguments: &[OsString]) -> Result<Infallible, ConfineError> {
        self.limit()?;
        // The program is found before files are out of reach, or the error would be another one.
        let program = std::fs::canonicalize(&self.program)
            .map_err(|source| ConfineError::Exec { program: self.program.clone(), source })?;
        self.restrict(&program)?;
        if let Some(filter) = self.filter()? {
            install(&filter)?;
        }
        let source = Command::new(&program).args(arguments).exec();
        Err(ConfineError::Exec { program, source })
    }

    fn limit(&self) -> Result<(), ConfineError> {
        let bounds = [
            ("memory", Resource::Data, self.memory),
            ("address space", Resource::As, self.memory.saturating_add(MAPPED_BYTES_MAX)),
            ("processor time", Resource::Cpu, self.processor),
            ("the size of files", Resource::Fsize, self.file),
            ("open descriptors", Resource::Nofile, self.descriptors),
            ("core dumps", Resource::Core, 0),
        ];
        for (what, resource, bound) in bounds {
            // A bound that somebody set lower stays.
            let bound = getrlimit(resource).maximum.map_or(bound, |most| most.min(bound));
            let limit = Rlimit { current: Some(bound), maximum: Some(bound) };
            setrlimit(resource, limit)
                .map_err(|error| ConfineError::Limit { what, source: error.into() })?;
        }
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "it is as important as before");
        }
        Ok(())
    }

    /// Landlock's part. It also sees to it that no program gains rights by being run.
    fn restrict(&self, program: &Path) -> Result<LandlockStatus, RulesetError> {
        let (read, all) = (AccessFs::from_read(NEWEST), AccessFs::from_all(NEWEST));
        let written = all & !unwritten();
        let mut ruleset = Ruleset::default()
            .handle_access(all)?
            .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?
            .create()?
            .add_rules(path_beneath_rules(COMMON, read))?
            .add_rules(path_beneath_rules([program], read))?
            .add_rules(path_beneath_rules(&self.read, read))?
            .add_rules(path_beneath_rules(WRITABLE, written))?
            .add_rules(path_beneath_rules(&self.write, written))?;
        if !self.connect.is_empty() {
            for port in self.connect.iter().copied().chain([DNS_PORT]) {
                ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
            }
        }
        ruleset.restrict_self().map(|status| status.landlock)
    }

    /// The filter of system calls; `None` on machines for which there is none.
    fn filter(&self) -> Result<Option<BpfProgram>, ConfineError> {
        let of_group = [libc::SYS_setsid, libc::SYS_setpgid];
        let of_network: &[libc::c_long] = if self.connect.is_empty() {
            &[libc::SYS_socket, libc::SYS_io_uring_setup]
        } else {
            &[]
        };
        let denied = of_group.iter().chain(of_network).map(|number| (*number, Vec::new()));
        filter_of(denied.collect(), libc::EACCES)
    }
}

/// A filter that answers these system calls with `error`, where one of their rules holds or they have
/// none, and lets all others through; `None` on machines for which there is none.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn filter_of(
    denied: BTreeMap<libc::c_long, Vec<SeccompRule>>,
    error: libc::c_int,
) -> Result<Option<BpfProgram>, ConfineError> {
    let Ok(architecture) = std::env::consts::ARCH.try_into() else { return Ok(None) };
    #[cfg(target_arch = "x86_64")]
    let denied = denied
        .into_iter()
        .flat_map(|(number, rules)| [(number | X32, rules.clone()), (number, rules)])
        .collect();
    let refusal = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(denied, SeccompAction::Allow, refusal, architecture);
    let program = filter.and_then(BpfProgram::try_from);
    program.map(Some).map_err(|error| ConfineError::Filter(Box::new(error)))
}

/// What nobody needs who only writes files: devices, and to run what was written.
pub(crate) fn unwritten() -> BitFlags<AccessFs> {
    AccessFs::Execute | AccessFs::IoctlDev | AccessFs::MakeBlock | AccessFs::MakeChar
}

/// Puts `filter` in force for this thread and what it starts; gives whether the kernel knows filters.
///
/// # Errors
/// When the kernel does, and does not take it.
pub(crate) fn install(filter: &BpfProgram) -> Result<bool, ConfineError> {
    match seccompiler::apply_filter(filter) {
        Ok(()) => Ok(true),
        // The kernel knows no filters.
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) =>
        {
            Ok(false)
        }
        Err(error) => Err(ConfineError::Filter(Box::new(error))),
    }
}

/// Confines this process to find out what cannot be, in words.
///
/// # Errors
/// When the kernel refuses what it says it can do.
pub fn weaknesses() -> Result<Vec<&'static str>, ConfineError> {
    let confinement = Confinement {
        program: PathBuf::from("/proc/self/exe"),
        read: Vec::new(),
        write: Vec::new(),
        connect: Vec::new(),
        memory: u64::MAX,
        processor: u64::MAX,
        file: u64::MAX,
        descriptors: u64::MAX,
    };
    let mut weaknesses = of_landlock(confinement.restrict(&confinement.program)?);
    let filter = confinement.filter()?;
    let is_filtered = match &filter {
        Some(filter) => {
            install(filter)?;
            std::net::UdpSocket::bind("127.0.0.1:0")
                .is_err_and(|error| error.raw_os_error() == Some(libc::EACCES))
        }
        None => false,
    };
    if !is_filtered {
        weaknesses
            .push("no filter of system calls: they could use the network by other ways than TCP");
    }
    Ok(weaknesses)
}

fn of_landlock(status: LandlockStatus) -> Vec<&'static str> {
    let version = match status {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => ABI::Unsupported,
    };
    let needed = [
        (
            ABI::V1,
            "the kernel has no Landlock: they could read and write whatever this program can",
        ),
        (ABI::V3, "the kernel's Landlock is older than 6.2: they could cut files short"),
        (
            ABI::V4,
            "the kernel's Landlock is older than 6.7: the ports they connect to are not held",
        ),
        (
            ABI::V6,
            "the kernel's Landlock is older than 6.12: they could send signals to this program",
        ),
    ];
    needed.iter().filter(|(least, _)| version < *least).map(|(_, text)| *text).collect()
}
