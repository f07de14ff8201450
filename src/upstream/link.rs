//! Where a list goes on: the `Link` header.

use http::HeaderMap;
use http::header::LINK;

/// Longest header value that is read, in bytes.
const LINK_BYTES_MAX: usize = 16 * 1024;

/// The target of the first link whose relation is `next`, as it stands there.
///
/// Spec: RFC 8288 section 3; <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers>
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.filter(|value| value.len() <= LINK_BYTES_MAX).find_map(next_in)
}

fn next_in(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let (parameters, after) = parameters(after);
        let is_next = parameters.iter().any(|(name, value)| {
            name == "rel"
                && value.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = after;
    }
    None
}

/// The parameters up to the comma that ends this link, and what follows that.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut parameters = Vec::new();
    let mut quoted = false;
    let mut start = 0;
    let push = |parameters: &mut Vec<(String, String)>, part: &str| {
        if let Some((name, value)) = part.split_once('=') {
            let value = value.trim().trim_matches('"').to_owned();
            parameters.push((name.trim().to_ascii_lowercase(), value));
        }
    };
    for (index, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ';' | ',' if !quoted => {
                push(&mut parameters, text.get(start..index).unwrap_or_default());
                start = index + 1;
                if character == ',' {
                    return (parameters, text.get(start..).unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    push(&mut parameters, text.get(start..).unwrap_or_default());
    (parameters, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_page_is_found() {
        for (value, expected) in [
            (r#"</v2/a/tags/list?n=1&last=b>; rel="next""#, Some("/v2/a/tags/list?n=1&last=b")),
            ("</x>; rel=next", Some("/x")),
            (r#"</p>; rel="prev", </n>; title="a, b; c"; rel="next""#, Some("/n")),
            (r#"</n>; REL="last Next""#, Some("/n")),
            (r#"</p>; rel="prev""#, None),
            ("</x>", None),
            ("</x; rel=next", None),
            (r#"</x>; title="rel=next""#, None),
            ("", None),
        ] {
            assert_eq!(next_in(value).as_deref(), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn parsing_ends_and_never_panics(value in ".{0,300}") {
            next_in(&value);
        }
    }
}
