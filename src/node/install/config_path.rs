//! The one line of containerd's `config.toml` that has it read the folder, put into a file that others
//! wrote, with everything else left as it is.

use toml::de::{DeTable, DeValue};

use crate::node::render::{CERTS_D, config_section};
use crate::node::{Kit, quoted};

/// `text` with the line; `None` when it is there already.
///
/// # Errors
/// When that cannot be done without touching what others wrote; says what to write by hand.
pub(super) fn with_config_path(text: Option<&str>, kit: &Kit) -> Result<Option<String>, String> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(Some(config_section(kit)));
    };
    let document =
        DeTable::parse(text).map_err(|error| format!("is no TOML ({})", error.message()))?;
    let table = document.get_ref();
    let section = match version(table) {
        2 => "io.containerd.grpc.v1.cri",
        3 => "io.containerd.cri.v1.images",
        _ => return Err("is of version 1; migrate it first: containerd config migrate".to_owned()),
    };
    let line = format!("config_path = {}", quoted(CERTS_D));
    let registry = child(table, "plugins").and_then(|plugins| child(plugins, section));
    let registry = registry.and_then(|section| child(section, "registry"));
    let changed = match registry.map(|registry| registry.get("config_path")) {
        Some(Some(value)) if value.get_ref().as_str() == Some(CERTS_D) => return Ok(None),
        Some(Some(value)) => {
            let span = value.span();
            let (before, after) = (text.get(..span.start), text.get(span.end..));
            format!("{}{}{}", before.unwrap_or_default(), quoted(CERTS_D), after.unwrap_or_default())
        }
        Some(None) => after_header(text, section, &line)
            .ok_or_else(|| format!("has [plugins.{section:?}.registry] in a form that is not edited; write {line} there"))?,
        None => {
            let gap = if text.ends_with('\n') { "" } else { "\n" };
            format!("{text}{gap}\n# Written by pratique node install.\n[plugins.{section:?}.registry]\n  {line}\n")
        }
    };
    if is_only_change(text, &changed, section) {
        Ok(Some(changed))
    } else {
        Err(format!("cannot be edited safely; write {line} under [plugins.{section:?}.registry]"))
    }
}

fn version(table: &DeTable<'_>) -> i64 {
    let version = table.get("version").and_then(|version| version.get_ref().as_integer());
    version.and_then(|version| version.as_str().parse().ok()).unwrap_or(1)
}

fn child<'a>(table: &'a DeTable<'a>, key: &str) -> Option<&'a DeTable<'a>> {
    table.get(key).and_then(|value| DeValue::as_table(value.get_ref()))
}

/// `text` with `line` below the header of the section's registry.
fn after_header(text: &str, section: &str, line: &str) -> Option<String> {
    let is_header = |candidate: &&str| {
        let trimmed = candidate.trim();
        trimmed.starts_with('[')
            && !trimmed.starts_with("[[")
            && trimmed.parse::<toml::Table>().is_ok_and(|table| {
                let path = table.get("plugins").and_then(|plugins| plugins.get(section));
                path.and_then(|section| section.get("registry"))
                    .and_then(toml::Value::as_table)
                    .is_some_and(toml::Table::is_empty)
            })
    };
    let header = text.split_inclusive('\n').find(is_header)?;
    let (before, after) = text.split_once(header)?;
    let end = if header.ends_with('\n') { "" } else { "\n" };
    Some(format!("{before}{header}{end}  {line}\n{after}"))
}

/// Whether the line is there in `changed`, and nothing else differs from `text`.
fn is_only_change(text: &str, changed: &str, section: &str) -> bool {
    let (Ok(mut before), Ok(mut after)) =
        (text.parse::<toml::Table>(), changed.parse::<toml::Table>())
    else {
        return false;
    };
    let set = take(&mut after, section);
    take(&mut before, section);
    set.is_some_and(|set| set.as_str() == Some(CERTS_D)) && before == after
}

/// Takes the line out of `table`, and the tables around it that are empty then.
fn take(table: &mut toml::Table, section: &str) -> Option<toml::Value> {
    fn within(table: &mut toml::Table, path: &[&str]) -> Option<toml::Value> {
        let (first, rest) = path.split_first()?;
        if rest.is_empty() {
            return table.remove(*first);
        }
        let inner = table.get_mut(*first)?.as_table_mut()?;
        let taken = within(inner, rest);
        if inner.is_empty() {
            table.remove(*first);
        }
        taken
    }
    within(table, &["plugins", section, "registry", "config_path"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> Kit {
        Kit::parse("t", "runtime = \"containerd\"\nmirrors = [\"http://127.0.0.1:5000\"]").unwrap()
    }

    #[test]
    fn the_line_goes_where_it_belongs_and_nothing_else_changes() {
        let v2 = "io.containerd.grpc.v1.cri";
        for (text, expected) in [
            (
                format!("version = 2\n[plugins.\"{v2}\"]\n  sandbox_image = \"p\" # ours"),
                format!(
                    "version = 2\n[plugins.\"{v2}\"]\n  sandbox_image = \"p\" # ours\n\n# Written by pratique node install.\n[plugins.\"{v2}\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n"
                ),
            ),
            (
                format!(
                    "version = 2\n[plugins.\"{v2}\".registry]\n  config_path = \"\"\n  # end\n"
                ),
                format!(
                    "version = 2\n[plugins.\"{v2}\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n  # end\n"
                ),
            ),
            (
                format!(
                    "version = 2\n[plugins.'{v2}'.registry]\n  [plugins.'{v2}'.registry.headers]\n    a = ['b']\n"
                ),
                format!(
                    "version = 2\n[plugins.'{v2}'.registry]\n  config_path = \"/etc/containerd/certs.d\"\n  [plugins.'{v2}'.registry.headers]\n    a = ['b']\n"
                ),
            ),
        ] {
            assert_eq!(with_config_path(Some(&text), &kit()).unwrap().unwrap(), expected);
            assert_eq!(
                with_config_path(Some(&expected), &kit()).unwrap(),
                None,
                "it is there already"
            );
        }
        let fresh = with_config_path(None, &kit()).unwrap().unwrap();
        assert!(fresh.contains("config_path = \"/etc/containerd/certs.d\""), "{fresh}");
    }

    #[test]
    fn what_cannot_be_edited_is_told_with_what_to_write() {
        for text in [
            "[plugins.cri]",
            "version = ",
            "version = 2\nplugins = {\"io.containerd.grpc.v1.cri\" = {a = 1}}",
            "version = 3\nplugins.\"io.containerd.cri.v1.images\".registry.headers = {}",
        ] {
            assert!(with_config_path(Some(text), &kit()).is_err(), "{text}");
        }
    }
}
