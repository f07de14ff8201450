//! Who may pull: the pods that a group of repositories is for.
//!
//! This is asked of each pull, beside the verdict about the image and before it: a verdict is about an
//! image, the same for whoever asks, and is kept by that.

use std::fmt;

use super::Policy;
use super::document::Located;
use super::pattern::{Pattern, Rank};
use crate::oci::Name;

/// A pod, as the cluster's token about it says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Workload {
    /// The namespace.
    pub namespace: String,
    /// The service account in it.
    pub service_account: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.service_account)
    }
}

/// One entry of `clients` of a policy: some repositories, and the pods that they are for.
#[derive(Debug, Clone)]
pub struct ClientRule {
    pub(super) patterns: Vec<Located<Pattern>>,
    /// Over namespaces: `shop`, `shop-*`.
    pub(super) namespaces: Vec<Pattern>,
    /// Over `namespace/service-account`.
    pub(super) service_accounts: Vec<Pattern>,
}

impl ClientRule {
    /// Whether it is for `pod`.
    pub fn is_for(&self, pod: &Workload) -> bool {
        let account = pod.to_string();
        self.namespaces.iter().any(|pattern| pattern.matches(&pod.namespace))
            || self.service_accounts.iter().any(|pattern| pattern.matches(&account))
    }

    /// Whether it is for no pod of `namespace`, whatever its service account: what can be said where that is not
    /// known.
    pub fn is_for_none_of(&self, namespace: &str) -> bool {
        self.service_accounts.is_empty()
            && !self.namespaces.iter().any(|pattern| pattern.matches(namespace))
    }

    /// The words in which `name` is refused to `whom` it is not for.
    pub fn refusal(&self, name: &Name, whom: impl fmt::Display) -> String {
        format!("Denied: {name} is for {self}, not for {whom}")
    }

    pub(super) fn rank(&self, name: &str) -> Option<Rank> {
        let matching = self.patterns.iter().filter(|pattern| pattern.value.matches(name));
        matching.map(|pattern| pattern.value.rank()).max()
    }
}

/// Whom it is for, in few words: `namespace shop, shop-* or payments/settler`.
impl fmt::Display for ClientRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |patterns: &[Pattern]| {
            patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match (self.namespaces.as_slice(), self.service_accounts.as_slice()) {
            (namespaces, []) => write!(f, "namespace {}", listed(namespaces)),
            ([], accounts) => write!(f, "service account {}", listed(accounts)),
            (namespaces, accounts) => {
                write!(f, "namespace {} or {}", listed(namespaces), listed(accounts))
            }
        }
    }
}

impl Policy {
    /// The entry of `clients` that speaks of `name`: the most specific. Without one, whoever reaches the
    /// mirror may pull.
    pub fn clients_of(&self, name: &Name) -> Option<&ClientRule> {
        if self.clients.is_empty() {
            return None;
        }
        let name = name.to_string();
        let ranked = self.clients.iter().filter_map(|it| it.rank(&name).map(|rank| (rank, it)));
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule)
    }

    /// Every entry of `clients`.
    pub fn clients(&self) -> &[ClientRule] {
        &self.clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n\
        rules: [{id: all, match: [\"up.test/**\"], trust: allow}]\n";

    fn policy(clients: &str) -> Result<Policy, String> {
        let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Policy::parse(&format!("{HEAD}clients: {clients}\n"), &none).map_err(|problems| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })
    }

    fn pod(account: &str) -> Workload {
        let (namespace, service_account) = account.split_once('/').unwrap();
        Workload { namespace: namespace.to_owned(), service_account: service_account.to_owned() }
    }

    #[test]
    fn the_most_specific_entry_says_whom_a_repository_is_for() {
        let policy = policy(
            "[{match: [\"up.test/shop/**\"], namespaces: [shop, \"shop-*\"]}, \
              {match: [\"up.test/shop/pay\"], serviceAccounts: [payments/settler]}, \
              {match: [\"up.test/shop/base/*\"], namespaces: [\"*\"]}]",
        )
        .unwrap();
        let is_for = |name: &str, account: &str| {
            policy.clients_of(&name.parse().unwrap()).map(|rule| rule.is_for(&pod(account)))
        };
        assert_eq!(is_for("up.test/other/x", "shop/default"), None);
        assert_eq!(is_for("up.test/shop/web", "shop/default"), Some(true));
        assert_eq!(is_for("up.test/shop/web", "shop-blue/default"), Some(true));
        assert_eq!(is_for("up.test/shop/web", "shopping/default"), Some(false));
        assert_eq!(is_for("up.test/shop/web", "payments/settler"), Some(false));
        assert_eq!(is_for("up.test/shop/pay", "payments/settler"), Some(true));
        assert_eq!(is_for("up.test/shop/pay", "payments/default"), Some(false));
        assert_eq!(is_for("up.test/shop/pay", "shop/default"), Some(false));
        assert_eq!(is_for("up.test/shop/base/go", "any/thing"), Some(true));
        let rule = policy.clients_of(&"up.test/shop/web".parse().unwrap()).unwrap();
        assert_eq!(rule.to_string(), "namespace shop, shop-*");
    }

    #[test]
    fn what_says_nothing_or_two_things_is_refused() {
        for (clients, problem) in [
            ("[]", "is an empty list"),
            ("[{match: [\"up.test/a\"]}]", "write namespaces: [shop]"),
            ("[{match: [\"up.test/a\"], namespaces: []}]", "is an empty list"),
            ("[{match: [\"up.test/a\"], namespaces: [Shop]}]", "is no name of a namespace"),
            ("[{match: [\"up.test/a\"], namespaces: [\"a/b\"]}]", "is no name of a namespace"),
            ("[{match: [\"up.test/a\"], serviceAccounts: [settler]}]", "NAMESPACE/NAME"),
            ("[{match: [\"up.test/a\"], serviceAccounts: [\"**\"]}]", "NAMESPACE/NAME"),
            ("[{match: [\"up.test/a\"], namespace: [shop]}]", "unknown"),
            ("[{namespaces: [shop]}]", "match"),
            (
                "[{match: [\"up.test/a/*\"], namespaces: [a]}, {match: [\"up.test/a/*\"], namespaces: [b]}]",
                "equally",
            ),
            (
                "[{match: [\"up.test/*/b\"], namespaces: [a]}, {match: [\"up.test/*b\"], namespaces: [b]}]",
                "",
            ),
        ] {
            match policy(clients) {
                Err(error) => assert!(error.contains(problem), "{clients}: {error}"),
                Ok(_) => assert_eq!(problem, "", "{clients} was read"),
            }
        }
    }
}
