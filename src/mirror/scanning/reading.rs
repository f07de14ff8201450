//! How much of the images of a repository is read.

use std::time::Duration;

use crate::gate::ReadyPolicy;
use crate::mirror::Mirror;
use crate::oci::Name;
use crate::policy::ScanLimits;
use crate::scan::Limits;

/// How much is read, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) limits: Limits,
    /// Time for all layers of one subject, their fetching included.
    pub(super) time: Duration,
}

impl Mirror {
    /// What the settings say, where `policy` says nothing else of `name`.
    pub(super) fn reading(&self, policy: &ReadyPolicy, name: &Name) -> Reading {
        let settings = &self.scanner().settings;
        let said = policy.scan_limits(name);
        let limits = limits_by(&settings.limits, &said);
        Reading { time: said.time.unwrap_or(settings.time), limits }
    }
}

fn limits_by(limits: &Limits, said: &ScanLimits) -> Limits {
    Limits {
        layer_bytes: said.layer_bytes.unwrap_or(limits.layer_bytes),
        ratio: said.ratio.unwrap_or(limits.ratio),
        entries: said.entries.unwrap_or(limits.entries),
        file_bytes: said.file_bytes.unwrap_or(limits.file_bytes),
        program_bytes: said.program_bytes.unwrap_or(limits.program_bytes),
        archive_bytes: said.archive_bytes.unwrap_or(limits.archive_bytes),
        archive_inflated_bytes: said
            .archive_inflated_bytes
            .unwrap_or(limits.archive_inflated_bytes),
        time: said.layer_time.unwrap_or(limits.time),
        ..limits.clone()
    }
}
