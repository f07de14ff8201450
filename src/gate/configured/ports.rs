//! Exposed ports, as the keys of a configuration have them.

/// Longest name of a protocol, in bytes.
const PROTOCOL_BYTES_MAX: usize = 16;

/// Which of `denied` the key `written` exposes, if it does; `Err` when it cannot be read.
///
/// The protocol does not count: a port is refused under each.
///
/// Spec: <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#properties>, and Docker's
/// ranges (`20-25/tcp`).
pub(super) fn exposes(written: &str, denied: &[u16]) -> Result<Option<u16>, ()> {
    let (ports, protocol) = written.split_once('/').unwrap_or((written, "tcp"));
    let is_protocol = (1..=PROTOCOL_BYTES_MAX).contains(&protocol.len())
        && protocol.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (port(first).ok_or(())?, port(last).ok_or(())?);
    if !is_protocol || first > last {
        return Err(());
    }
    Ok(denied.iter().copied().find(|port| (first..=last).contains(port)))
}

/// Digits as Go's `strconv.ParseUint` reads them: no sign, zeros in front as one likes.
fn port(text: &str) -> Option<u16> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_port_is_found_in_every_form() {
        for (written, expected) in [
            ("22", Ok(Some(22))),
            ("22/tcp", Ok(Some(22))),
            ("22/TCP", Ok(Some(22))),
            ("22/udp", Ok(Some(22))),
            ("22/sctp", Ok(Some(22))),
            ("022/tcp", Ok(Some(22))),
            ("20-25/tcp", Ok(Some(22))),
            ("22-22", Ok(Some(22))),
            ("1-65535", Ok(Some(22))),
            ("22-80/tcp", Ok(Some(22))),
            ("2375/tcp", Ok(Some(2375))),
            ("80", Ok(None)),
            ("23-2374", Ok(None)),
            ("2222/tcp", Ok(None)),
            ("0", Ok(None)),
            ("", Err(())),
            ("/tcp", Err(())),
            ("22/", Err(())),
            ("22/tcp/udp", Err(())),
            ("22/t p", Err(())),
            (" 22", Err(())),
            ("+22", Err(())),
            ("-22", Err(())),
            ("22-", Err(())),
            ("25-20", Err(())),
            ("20-25-30", Err(())),
            ("65536", Err(())),
            ("99999999999", Err(())),
            ("0x16", Err(())),
            ("ssh", Err(())),
            ("127.0.0.1:22:22/tcp", Err(())),
            ("\u{662}\u{662}", Err(())),
        ] {
            assert_eq!(exposes(written, &[22, 2375]), expected, "{written}");
        }
    }
}
