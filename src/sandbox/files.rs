//! Files and ports, by Landlock.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use super::Plan;
use crate::program::confine::{COMMON, NEWEST, WRITABLE, unwritten};

/// What programs that are run beside this one need of `/proc`: their own folder, whose number is not known
/// yet. They are confined to that by themselves, and the kernel keeps the memory and the environment of
/// processes outside from all of them.
const PROCESSES: &str = "/proc";
/// This program, whatever has become of its file since it was started: it is what starts the others.
const OWN: &str = "/proc/self/exe";

/// The version of Landlock that holds files from now on, or why none does; and whether it holds ports.
///
/// # Errors
/// When the kernel does not take the rules.
pub(super) fn restrict(plan: &Plan) -> Result<(Result<String, &'static str>, bool), RulesetError> {
    let runs_programs = plan.may_start_programs();
    let all = AccessFs::from_all(NEWEST);
    let (run, written) = (AccessFs::from_read(NEWEST), all & !unwritten());
    let read = if runs_programs { run } else { run & !AccessFs::Execute };
    let mut ruleset = Ruleset::default()
        // Without this right, from 5.19 on, nothing could be renamed from one folder to another.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(&plan.read, read))?
        .add_rules(path_beneath_rules(WRITABLE, written))?
        .add_rules(path_beneath_rules(&plan.write, written))?;
    if runs_programs {
        ruleset = ruleset
            .add_rules(path_beneath_rules(COMMON, run))?
            .add_rules(path_beneath_rules([PROCESSES, OWN], run))?
            .add_rules(path_beneath_rules(&plan.programs, run))?;
    }
    for port in &plan.ports {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    Ok(told(&ruleset.restrict_self()?))
}

fn told(status: &RestrictionStatus) -> (Result<String, &'static str>, bool) {
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled => return (Err("Landlock is not enabled"), false),
        LandlockStatus::NotImplemented => return (Err("the kernel has no Landlock"), false),
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return (Err("the kernel's Landlock is older than 5.19"), false);
    }
    let number = format!("{version:?}").trim_start_matches('V').to_owned();
    (Ok(number), version >= ABI::V4)
}
