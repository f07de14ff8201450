//! What is made of what was seen: pure, so that every case can be tried.

use std::time::Duration;

use super::ask::Said;
use super::decoy::Visit;
use super::egress::Reached;
use super::runtime::{Kept, Pulled};
use super::{Finding, State, Way};
use crate::time::Timestamp;

/// A certificate that ends sooner is told of.
const ENDS_SOON: Duration = Duration::from_hours(14 * 24);
/// Longest part of what a runtime says that is repeated.
const SAID_LENGTH_MAX: usize = 160;

/// What to do where a registry leads past the mirror that nobody listed.
const CLOSE_UNLISTED: &str = "close registries that are not listed, too: a _default folder for containerd, \
    in the closed form of `pratique node render`";
/// What to do where a refusal is answered by the registry.
const CLOSE_FALLBACK: &str =
    "write this registry's files in the closed form: `pratique node render`";
/// What to do where a runtime does not come to the mirror.
const LOOK_AT_RUNTIME: &str =
    "see that the runtime runs and its files name the mirror, then run this again";

/// What somebody did with an image of the decoy, `host` being the decoy as it was called.
pub(super) fn unlisted(by: &str, host: &str, visits: &[Visit], pulled: &Pulled) -> Finding {
    let of = |state, saw: String, remedy| Finding::new(Way::Unlisted, by, host, state, saw, remedy);
    if !visits.is_empty() {
        let and = match pulled {
            Pulled::Yes(kept) => format!(" and pulled the image{}", left(kept)),
            Pulled::No(_) | Pulled::Untried(_) => String::new(),
        };
        let came = count(visits.len());
        let saw = format!("went past the mirror: came to the decoy itself {came}{and}");
        return of(State::Open, saw, Some(CLOSE_UNLISTED));
    }
    match pulled {
        Pulled::No(said) if refuses_decoy(said) => {
            of(State::Closed, "the mirror refused it, nobody came to the decoy".to_owned(), None)
        }
        Pulled::No(said) => {
            let saw = format!(
                "nobody came to the decoy, and nobody heard the mirror refuse: {}",
                cut(said)
            );
            of(State::Untried, saw, Some(LOOK_AT_RUNTIME))
        }
        Pulled::Yes(kept) => {
            let saw = format!("the image was pulled, and not from the decoy{}", left(kept));
            of(State::Untried, saw, Some("see what answers for this address on the node"))
        }
        Pulled::Untried(why) => of(State::Untried, cut(why), Some(LOOK_AT_RUNTIME)),
    }
}

/// What somebody did with an image of the decoy whose layer says that it can be had at an address.
pub(super) fn layer_urls(by: &str, host: &str, visits: &[Visit], pulled: &Pulled) -> Finding {
    let of =
        |state, saw: String, remedy| Finding::new(Way::LayerUrls, by, host, state, saw, remedy);
    if visits.iter().any(Visit::is_for_urls) {
        let saw = "fetched a layer from the address in its manifest".to_owned();
        return of(State::Open, saw, Some(CLOSE_UNLISTED));
    }
    match pulled {
        Pulled::No(said) if visits.is_empty() && refuses_decoy(said) => {
            let saw = "the mirror refused the image, nobody came for its layer";
            of(State::Closed, saw.to_owned(), None)
        }
        Pulled::Untried(why) => of(State::Untried, cut(why), Some(LOOK_AT_RUNTIME)),
        Pulled::No(_) | Pulled::Yes(_) => {
            let saw = "nobody came for the layer, but the mirror was not heard to refuse the image";
            of(State::Untried, saw.to_owned(), Some("close the way `unlisted` first"))
        }
    }
}

/// What an image is good for that the mirror is to refuse: `None` where it is a canary.
pub(super) fn no_canary(image: &str, said: &std::io::Result<Said>) -> Option<Finding> {
    let of = |saw: String, remedy| {
        Some(Finding::new(Way::Fallback, "self", image, State::Untried, saw, Some(remedy)))
    };
    match said {
        Err(error) => of(
            format!("the mirror could not be asked about it: {error}"),
            "see to the mirror first",
        ),
        Ok(said) if said.status.is_success() => of(
            "the mirror serves it, so a pull of it proves nothing".to_owned(),
            "have the policy deny it: a rule with `trust: deny`, in mode enforce",
        ),
        Ok(said) if said.status.as_u16() == 403 && said.is_decision => None,
        Ok(said) => of(
            format!(
                "the mirror answers {} {}, which is no refusal",
                said.status.as_u16(),
                said.phrase
            ),
            "name an image that upstream has and the policy denies",
        ),
    }
}

/// What became of the pull of an image that the mirror refuses by what it `said`.
pub(super) fn fallback(by: &str, image: &str, said: &Said, pulled: &Pulled) -> Finding {
    let of =
        |state, saw: String, remedy| Finding::new(Way::Fallback, by, image, state, saw, remedy);
    match pulled {
        Pulled::Yes(kept) => {
            let saw = format!("pulled what the mirror refuses{}", left(kept));
            of(State::Open, saw, Some(CLOSE_FALLBACK))
        }
        Pulled::No(shown) if said.is_in(shown) => of(
            State::Closed,
            "refused by the mirror, and pulled from nowhere else".to_owned(),
            None,
        ),
        Pulled::No(shown) => {
            let saw = format!("not pulled, but not by the word of the mirror: {}", cut(shown));
            of(State::Untried, saw, Some(LOOK_AT_RUNTIME))
        }
        Pulled::Untried(why) => of(State::Untried, cut(why), Some(LOOK_AT_RUNTIME)),
    }
}

/// Nobody named a canary.
pub(super) fn no_canary_named() -> Finding {
    let saw = "not tried: no image is named that the mirror refuses and upstream has";
    let remedy = "name one for each registry by --canary, or leave it out by --no-fallback";
    Finding::new(Way::Fallback, "self", "configured registries", State::Untried, saw, Some(remedy))
}

/// A hole that the estate wants.
pub(super) fn declared(registry: &str) -> Finding {
    let saw = "declared: nodes pull from this registry past the mirror";
    Finding::new(Way::Fallback, "self", registry, State::Declared, saw, None)
}

/// How far the node came to `host` by itself.
pub(super) fn egress(host: &str, reached: &Reached, must_be_closed: bool) -> Finding {
    let state = if must_be_closed { State::Open } else { State::Weak };
    let remedy =
        Some("let a firewall drop what nodes send to registries; only the mirror needs them");
    let of =
        |state, saw: String, remedy| Finding::new(Way::Egress, "self", host, state, saw, remedy);
    match reached {
        Reached::Nothing(error) => of(State::Closed, format!("not reached: {error}"), None),
        Reached::Connection(error) => {
            of(state, format!("takes connections, and speaks no TLS: {error}"), remedy)
        }
        Reached::Other(error) => {
            of(state, format!("answers by TLS as somebody else: {error}"), remedy)
        }
        Reached::Itself => {
            of(state, "answers: root on this node can pull past the mirror".to_owned(), remedy)
        }
    }
}

/// What the mirror must say to be the one that is meant.
pub(super) struct Mirrored<'a> {
    pub(super) url: &'a str,
    pub(super) is_tls: bool,
    /// Whether it is ready.
    pub(super) ready: std::io::Result<Said>,
    /// What it says about an image of the decoy.
    pub(super) of_decoy: std::io::Result<Said>,
    /// What somebody is answered who shows no certificate, where the node has one.
    pub(super) bare: Option<std::io::Result<Said>>,
    pub(super) client_ends: Option<Timestamp>,
    pub(super) now: Timestamp,
}

pub(super) fn mirror(seen: &Mirrored<'_>) -> Finding {
    const ADDRESS: &str =
        "see that the mirror runs, and that --mirror and --ca are those of the node's files";
    let of = |state, saw: String, remedy| {
        Finding::new(Way::Mirror, "self", seen.url, state, saw, remedy)
    };
    let ready = match &seen.ready {
        Err(error) => return of(State::Untried, format!("not reached: {error}"), Some(ADDRESS)),
        Ok(said) if !said.status.is_success() => {
            let saw = format!("not ready: {} {}", said.status.as_u16(), said.phrase);
            return of(State::Untried, saw, Some(ADDRESS));
        }
        Ok(said) => said,
    };
    match &seen.of_decoy {
        Ok(said) if said.is_decision && refuses_decoy(&said.phrase) => {}
        Ok(said) => {
            let saw =
                format!("what answers is not Pratique: {} {}", said.status.as_u16(), said.phrase);
            return of(State::Untried, saw, Some(ADDRESS));
        }
        Err(error) => {
            return of(State::Untried, format!("stopped answering: {error}"), Some(ADDRESS));
        }
    }
    let ends = [("its", ready.certificate_ends), ("the node's", seen.client_ends)];
    for (whose, end) in ends {
        if let Some(end) = end.filter(|end| *end < seen.now.after(ENDS_SOON)) {
            let saw = format!("ready, and {whose} certificate ends {}", day(end));
            return of(State::Weak, saw, Some("renew the certificate, or see why nobody did"));
        }
    }
    if let Some(Ok(said)) = &seen.bare
        && said.status.is_success()
    {
        let saw = "ready, and answers whoever shows no certificate, too".to_owned();
        return of(State::Weak, saw, Some("set client_ca in [node.tls] of the mirror"));
    }
    let how = match (seen.is_tls, &seen.bare) {
        (false, _) => "without TLS",
        (true, None) => "by TLS",
        (true, Some(_)) => "by TLS to whoever shows a certificate",
    };
    of(State::Closed, format!("ready, {how}, and refuses what nobody configured"), None)
}

/// Whether `said` has the words by which the mirror refuses an image of the decoy.
///
/// Only Pratique says this, and says it of no registry that it knows.
fn refuses_decoy(said: &str) -> bool {
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    ["127.0.0.1:", "localhost:"].iter().any(|host| {
        said.split("Denied: registry ").skip(1).any(|rest| {
            let port = rest
                .strip_prefix(host)
                .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
            port.is_some_and(|rest| rest.starts_with(" is not configured"))
        })
    }) || ["127.0.0.1:", "localhost:"].iter().any(|host| {
        said.split("the registry ").skip(1).any(|rest| {
            rest.starts_with(host) && rest.contains(" is not configured at this mirror")
        })
    })
}

/// What is left on the node of an image that should not be there.
fn left(kept: &Kept) -> String {
    match kept {
        Kept::Nothing => String::new(),
        Kept::HasOtherNames => "; it has other names on this node and stays".to_owned(),
        Kept::WasThere => "; it was on the node before and stays".to_owned(),
        Kept::NotRemoved(why) => format!("; it COULD NOT BE REMOVED: {}", cut(why)),
    }
}

/// The end of what was said is what says why.
fn cut(said: &str) -> String {
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = said.chars().count();
    if length <= SAID_LENGTH_MAX {
        return said;
    }
    let end: String = said.chars().skip(length - SAID_LENGTH_MAX).collect();
    format!("...{end}")
}

fn count(times: usize) -> String {
    if times == 1 { "once".to_owned() } else { format!("{times} times") }
}

fn day(at: Timestamp) -> String {
    at.to_string().chars().take_while(|c| *c != 'T').collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use hyper::StatusCode;

    use super::*;

    const HOST: &str = "127.0.0.1:4000";
    const CLOSED: &str = "failed to resolve image: unexpected status from HEAD request to \
        http://m/v2/a/manifests/1?ns=127.0.0.1%3A4000: 403 Denied: registry 127.0.0.1:4000 is not configured, \
        ask the admin of this mirror";

    fn asked() -> Vec<Visit> {
        vec![Visit::Asked("/v2/pratique-canary/x/manifests/1".to_owned())]
    }

    fn no(said: &str) -> Pulled {
        Pulled::No(said.to_owned())
    }

    fn said(status: u16, phrase: &str, is_decision: bool) -> Said {
        Said {
            status: StatusCode::from_u16(status).unwrap(),
            phrase: phrase.to_owned(),
            message: None,
            is_decision,
            certificate_ends: None,
        }
    }

    #[test]
    fn an_unlisted_registry_is_closed_only_by_the_word_of_the_mirror() {
        let state = |visits: &[Visit], pulled: &Pulled| unlisted("cri", HOST, visits, pulled).state;
        assert_eq!(state(&[], &no(CLOSED)), State::Closed);
        // The message that others than containerd show.
        let message = "denied: the registry localhost:4000 of localhost:4000/a is not configured at this mirror";
        assert_eq!(state(&[], &no(message)), State::Closed);
        for not_ours in [
            "",
            "connection refused",
            "403 Forbidden",
            "Denied: registry quay.io is not configured",
            "ns=127.0.0.1:4000: 403 Denied",
            "Denied: registry 127.0.0.1:4000.evil is not configured",
        ] {
            assert_eq!(state(&[], &no(not_ours)), State::Untried, "{not_ours}");
        }
        assert_eq!(state(&[], &Pulled::Untried("no socket".to_owned())), State::Untried);
        assert_eq!(state(&[], &Pulled::Yes(Kept::Nothing)), State::Untried);
    }

    #[test]
    fn whoever_came_to_the_decoy_went_past_whatever_the_runtime_says() {
        for visits in [asked(), vec![Visit::Tls]] {
            for pulled in [no(CLOSED), Pulled::Yes(Kept::Nothing), Pulled::Untried(String::new())] {
                assert_eq!(unlisted("cri", HOST, &visits, &pulled).state, State::Open);
            }
        }
        let kept = Pulled::Yes(Kept::NotRemoved("busy".to_owned()));
        assert!(unlisted("cri", HOST, &asked(), &kept).saw.contains("COULD NOT BE REMOVED: busy"));
    }

    #[test]
    fn a_layer_with_an_address_is_open_when_it_is_fetched_and_closed_when_the_image_is_refused() {
        let url = vec![Visit::Asked("/urls/x".to_owned())];
        let state =
            |visits: &[Visit], pulled: &Pulled| layer_urls("cri", HOST, visits, pulled).state;
        assert_eq!(state(&url, &no(CLOSED)), State::Open);
        assert_eq!(state(&[], &no(CLOSED)), State::Closed);
        assert_eq!(state(&asked(), &no("404")), State::Untried);
        assert_eq!(state(&[], &no("404")), State::Untried);
    }

    #[test]
    fn only_what_the_mirror_refuses_by_decision_is_a_canary() {
        assert!(no_canary("a", &Ok(said(403, "Denied by rule x", true))).is_none());
        let not_ours = [
            said(200, "OK", false),
            said(404, "Not Found", false),
            said(403, "Forbidden", false),
            said(503, "Mirror unavailable", false),
        ];
        for answer in not_ours {
            let finding = no_canary("a", &Ok(answer.clone())).unwrap();
            assert_eq!(finding.state, State::Untried, "{answer:?}");
        }
        assert!(no_canary("a", &Err(io::ErrorKind::TimedOut.into())).is_some());
    }

    #[test]
    fn a_canary_that_is_pulled_is_open_and_one_that_fails_otherwise_proves_nothing() {
        let refusal = said(403, "Denied by rule canary: nothing may be pulled", true);
        let state = |pulled: &Pulled| fallback("cri", "a", &refusal, pulled).state;
        assert_eq!(state(&Pulled::Yes(Kept::WasThere)), State::Open);
        assert_eq!(state(&no("403 Denied by rule canary: nothing may be pulled")), State::Closed);
        assert_eq!(state(&no("dial tcp: i/o timeout")), State::Untried);
        assert_eq!(state(&Pulled::Untried(String::new())), State::Untried);
    }

    #[test]
    fn what_answers_by_the_network_is_weak_or_open_and_only_silence_is_closed() {
        let error = || io::Error::other("x");
        for reached in [Reached::Itself, Reached::Other(error()), Reached::Connection(error())] {
            assert_eq!(egress("a", &reached, false).state, State::Weak);
            assert_eq!(egress("a", &reached, true).state, State::Open);
        }
        assert_eq!(egress("a", &Reached::Nothing(error()), true).state, State::Closed);
    }

    #[test]
    fn a_mirror_is_ours_by_what_it_refuses_and_its_certificates_last() {
        let now = Timestamp::from_milliseconds(1_800_000_000_000);
        let decoy =
            "Denied: registry 127.0.0.1:4000 is not configured, ask the admin of this mirror";
        let seen = |ready: io::Result<Said>, of_decoy: io::Result<Said>| Mirrored {
            url: "https://m",
            is_tls: true,
            ready,
            of_decoy,
            bare: Some(Err(io::ErrorKind::ConnectionReset.into())),
            client_ends: None,
            now,
        };
        let ready = || Ok(said(200, "OK", false));
        let refused = || Ok(said(403, decoy, true));
        assert_eq!(mirror(&seen(ready(), refused())).state, State::Closed);
        let other = [
            seen(Err(io::ErrorKind::ConnectionRefused.into()), refused()),
            seen(Ok(said(503, "stopping", false)), refused()),
            seen(ready(), Ok(said(404, "Not Found", false))),
            seen(ready(), Ok(said(403, decoy, false))),
        ];
        for seen in other {
            assert_eq!(mirror(&seen).state, State::Untried);
        }
        let ends = Some(now.after(Duration::from_hours(24)));
        assert_eq!(
            mirror(&Mirrored { client_ends: ends, ..seen(ready(), refused()) }).state,
            State::Weak
        );
        let open = Some(ready());
        assert_eq!(mirror(&Mirrored { bare: open, ..seen(ready(), refused()) }).state, State::Weak);
    }
}
