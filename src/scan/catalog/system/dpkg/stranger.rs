//! Packages that somebody else than the distribution made.
//!
//! Debian's and Ubuntu's own have maintainers of all kinds, so they cannot be told by what they have;
//! the others can, mostly. One that is not told is taken for the distribution's.

use super::stanza::{Field, Stanza};

/// Where vendors of packages that carry Python, Node, Ruby, Java or Go programs write from.
const VENDORS: [&str; 28] = [
    "amazon.com",
    "azul.com",
    "chef.io",
    "cloudflare.com",
    "confluent.io",
    "datadoghq.com",
    "docker.com",
    "elastic.co",
    "f5.com",
    "gitlab.com",
    "google.com",
    "grafana.com",
    "hashicorp.com",
    "influxdata.com",
    "intel.com",
    "mariadb.org",
    "microsoft.com",
    "mongodb.com",
    "newrelic.com",
    "nginx.com",
    "nodesource.com",
    "nvidia.com",
    "oracle.com",
    "percona.com",
    "puppet.com",
    "redis.io",
    "splunk.com",
    "teleport.dev",
];

/// Whether a package says that it is not the distribution's.
pub(super) fn is_stranger(stanza: &Stanza<'_>) -> bool {
    // The distributions' own packages have no such field; what makes packages for vendors writes it.
    if stanza.get(Field::Vendor).is_some() {
        return true;
    }
    let maintainer = stanza.get(Field::Maintainer).unwrap_or_default().to_ascii_lowercase();
    let address = maintainer.strip_suffix(b">").unwrap_or(&maintainer);
    VENDORS.iter().any(|vendor| {
        let before = address.strip_suffix(vendor.as_bytes()).and_then(<[u8]>::last);
        matches!(before, Some(b'@' | b'.'))
    })
}
