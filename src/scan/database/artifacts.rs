//! Names of Maven's packages by their artifact, for archives that do not say their group.

use super::open::Database;
use super::wire::row;
use super::{DatabaseError, names};
use crate::scan::PackageKind;

/// The numbers of names with a group, in the order of their artifacts.
#[derive(Debug)]
pub(super) struct Artifacts(Vec<u32>);

impl Artifacts {
    /// Reads the names of all ecosystems of Maven's.
    pub(super) fn of(database: &Database) -> Result<Self, DatabaseError> {
        let mut named: Vec<(&str, u32)> = Vec::new();
        for name in database.package_names(PackageKind::Maven)? {
            let text = database.string(name)?;
            named.extend(artifact(text).map(|artifact| (artifact, name)));
        }
        named.sort_unstable();
        named.dedup();
        Ok(Self(named.into_iter().map(|(_, name)| name).collect()))
    }

    /// The numbers of names with this artifact.
    pub(super) fn named(
        &self,
        database: &Database,
        wanted: &str,
    ) -> Result<Vec<u32>, DatabaseError> {
        let of = |name: &u32| database.string(*name).map(|text| artifact(text).unwrap_or_default());
        // Every name was read before.
        let start = self.0.partition_point(|name| of(name).is_ok_and(|artifact| artifact < wanted));
        let rest = self.0.get(start..).unwrap_or_default();
        let mut named = Vec::new();
        for name in rest {
            if of(name)? != wanted {
                break;
            }
            named.push(*name);
        }
        Ok(named)
    }
}

fn artifact(name: &str) -> Option<&str> {
    name.rsplit_once(names::GROUP_END).map(|(_, artifact)| artifact)
}

/// The name of a key.
pub(super) fn name_of_key(keys: &[u8], index: u32) -> Result<u32, DatabaseError> {
    let [name, _, _] = row(keys, index)?;
    Ok(name)
}
