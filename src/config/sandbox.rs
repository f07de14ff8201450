//! `[sandbox]`: how the program confines itself, and what all other settings open to it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Settings;
use super::environment;
use super::section::Section;
use crate::adapter::AdapterKind;
use crate::http::TlsSettings;
use crate::mirror::policy_references;
use crate::notify::Address;
use crate::sandbox::{self, Mode, Plan};
use crate::upstream::CredentialSource;

pub(super) fn read(block: Section<'_>) -> sandbox::Settings {
    let mode = block.parsed("mode", |text| match text {
        "off" => Ok(Mode::Off),
        "on" => Ok(Mode::On),
        "require" => Ok(Mode::Require),
        _ => Err(format!("{text:?} is not one of \"on\", \"off\", \"require\"")),
    });
    let paths = |key: &'static str| {
        let listed: Vec<_> = block.list(key).unwrap_or_default();
        if listed.iter().any(|path| !Path::new(path).is_absolute()) {
            block.problem(key, "has a path that is not absolute");
        }
        listed.into_iter().map(PathBuf::from).collect()
    };
    let (read, write) = (paths("read"), paths("write"));
    block.finish();
    sandbox::Settings { mode: mode.map_or_else(Mode::default, |found| found.value), read, write }
}

/// The block, as it is in force.
#[derive(Debug, Serialize)]
pub(super) struct Sandbox {
    mode: &'static str,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

impl From<&sandbox::Settings> for Sandbox {
    fn from(settings: &sandbox::Settings) -> Self {
        let sandbox::Settings { mode, read, write } = settings.clone();
        Self { mode: mode.word(), read, write }
    }
}

impl Settings {
    /// What a server with these settings has to be able to do, and nothing else. It looks at the disk: at
    /// links, and at the policy for the files that it refers to.
    pub fn sandbox_plan(&self) -> Plan {
        let mut plan = Plan::new(&self.sandbox);
        plan.may_write(&self.data_dir);
        plan.may_listen(self.node.listen.port());
        plan.may_listen(self.admin.listen.port());
        if let Some(admission) = &self.admission {
            plan.may_listen(admission.listen.port());
        }
        for path in self.files_to_read() {
            plan.may_read(&path);
        }
        for path in self.programs_to_start() {
            plan.may_start(&path);
        }
        if self.has_helpers()
            && let Some(home) = environment::home()
        {
            // Helpers read their own settings there.
            plan.may_read(&home);
        }
        plan
    }

    fn files_to_read(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        files.extend(self.policy.iter().flat_map(|path| policy_references(path)));
        files.extend(self.policy.clone());
        files.extend(self.approvals.clone());
        files.extend(self.scan.database.clone());
        let admission = self.admission.as_ref().and_then(|it| it.tls.as_ref());
        let listeners = [self.node.tls.as_ref(), self.admin.tls.as_ref(), admission];
        files.extend(listeners.into_iter().flatten().flat_map(certificates));
        files.extend(self.node.pods.iter().map(|pods| pods.keys.clone()));
        if let Some(oidc) = &self.admin.oidc {
            files.extend(oidc.provider.client_secret_file.clone());
            files.extend(oidc.provider.ca_file.clone());
        }
        for registry in &self.upstream.registries {
            files.extend(registry.ca_file.clone());
            for credential in &registry.credentials {
                if let CredentialSource::Files { username, password } = &credential.source {
                    files.extend([username.clone(), password.clone()]);
                }
            }
        }
        for webhook in &*self.notify.webhooks {
            files.extend([&webhook.secret_file, &webhook.ca_file].into_iter().flatten().cloned());
            if let Address::File(path) = &webhook.address {
                files.push(path.clone());
            }
        }
        for adapter in &self.adapters {
            match &adapter.kind {
                AdapterKind::Command { settings, token_file, .. } => {
                    files.extend([&settings.cache, token_file].into_iter().flatten().cloned());
                }
                AdapterKind::Harbor { settings, authorization_file, .. } => {
                    let both = [&settings.ca_file, authorization_file];
                    files.extend(both.into_iter().flatten().cloned());
                }
            }
        }
        files
    }

    fn programs_to_start(&self) -> Vec<PathBuf> {
        let scanners = self.adapters.iter().filter_map(|adapter| match &adapter.kind {
            AdapterKind::Command { settings, .. } => Some(settings.program.clone()),
            AdapterKind::Harbor { .. } => None,
        });
        scanners.chain(self.helpers().map(PathBuf::from)).collect()
    }

    fn helpers(&self) -> impl Iterator<Item = &str> {
        let registries = self.upstream.registries.iter();
        let credentials = registries.flat_map(|registry| &registry.credentials);
        credentials.filter_map(|credential| match &credential.source {
            CredentialSource::Helper(program) => Some(program.as_str()),
            CredentialSource::Files { .. } => None,
        })
    }

    fn has_helpers(&self) -> bool {
        self.helpers().next().is_some()
    }
}

fn certificates(tls: &TlsSettings) -> Vec<PathBuf> {
    let authority = tls.client_ca.as_ref().map(|(path, _)| path.clone());
    [tls.cert.clone(), tls.key.clone()].into_iter().chain(authority).collect()
}
