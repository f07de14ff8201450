//! As whom an image runs, as container runtimes read it.

use crate::policy::UserRule;

/// The largest id that runtimes take for one; beyond, they look for a name, and some used to run as root
/// (CVE-2024-40635).
const ID_MAX: u32 = i32::MAX.unsigned_abs();
/// Longest name of a user, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Names of those who may do everything, on Linux and on Windows, in small letters.
const ROOTS: [&str; 5] = ["administrator", "containeradministrator", "root", "system", "toor"];

/// Who `User` of a configuration stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// A number that is not root's.
    Id(u32),
    /// A name that is not root's.
    Name,
    /// Root, by number or name.
    Root,
    /// Nothing is written, which is root.
    Unset,
    /// Nothing that runtimes agree about.
    Unreadable,
}

impl User {
    /// Who `text`, `user[:group]`, stands for. Numbers are what Go's `strconv.Atoi` takes for one.
    pub(super) fn of(text: &str) -> Self {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if group.contains(':') {
            return Self::Unreadable;
        }
        if user.is_empty() {
            return Self::Unset;
        }
        let digits = user.strip_prefix(['+', '-']).unwrap_or(user);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return match user.parse::<i64>().map(u32::try_from) {
                Ok(Ok(0)) => Self::Root,
                Ok(Ok(id @ 1..=ID_MAX)) => Self::Id(id),
                Ok(Ok(_) | Err(_)) | Err(_) => Self::Unreadable,
            };
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-$@".contains(&byte);
        if user.len() > NAME_BYTES_MAX || !user.bytes().all(is_plain) {
            return Self::Unreadable;
        }
        if ROOTS.contains(&user.to_ascii_lowercase().as_str()) { Self::Root } else { Self::Name }
    }

    /// What speaks against it under `rule`, in words; `shown` is what is written.
    pub(super) fn objection(self, rule: UserRule, shown: &str) -> Option<String> {
        match (self, rule) {
            (Self::Id(_), _) | (Self::Name, UserRule::NonRoot) => None,
            (Self::Name, UserRule::Numeric) => Some(format!("its USER {shown} is not a number")),
            (Self::Root, _) => Some(format!("runs as root: its USER is {shown}")),
            (Self::Unset, _) => Some("runs as root: its configuration has no USER".to_owned()),
            (Self::Unreadable, _) => Some(format!("its USER {shown} is nobody for certain")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_as_runtimes_read_them() {
        for (text, expected) in [
            ("", User::Unset),
            (":", User::Unset),
            (":1000", User::Unset),
            ("0", User::Root),
            ("00", User::Root),
            ("+0", User::Root),
            ("-0", User::Root),
            ("000000000000000000000", User::Root),
            ("0:1000", User::Root),
            ("root", User::Root),
            ("Root", User::Root),
            ("root:app", User::Root),
            ("ContainerAdministrator", User::Root),
            ("1", User::Id(1)),
            ("+1000", User::Id(1000)),
            ("0001000", User::Id(1000)),
            ("1000:0", User::Id(1000)),
            ("1000:", User::Id(1000)),
            ("1000:root", User::Id(1000)),
            ("2147483647", User::Id(2_147_483_647)),
            ("2147483648", User::Unreadable),
            ("4294967295", User::Unreadable),
            ("4294967296", User::Unreadable),
            ("18446744073709551616", User::Unreadable),
            ("99999999999999999999999999", User::Unreadable),
            ("-1", User::Unreadable),
            ("-1000", User::Unreadable),
            ("1:2:3", User::Unreadable),
            ("root:x:y", User::Unreadable),
            ("app", User::Name),
            ("app:app", User::Name),
            ("0x0", User::Name),
            ("1_0", User::Name),
            ("nonroot", User::Name),
            ("+", User::Unreadable),
            (" 0", User::Unreadable),
            ("0 ", User::Unreadable),
            ("root ", User::Unreadable),
            ("root\n", User::Unreadable),
            ("\u{660}", User::Unreadable),
            ("ro\u{200b}ot", User::Unreadable),
            ("a/b", User::Unreadable),
            ("NT AUTHORITY\\SYSTEM", User::Unreadable),
        ] {
            assert_eq!(User::of(text), expected, "{text:?}");
        }
        assert_eq!(User::of(&"a".repeat(NAME_BYTES_MAX + 1)), User::Unreadable);
    }

    #[test]
    fn a_name_is_believed_unless_a_number_is_asked_for() {
        let objects = |text: &str, rule| User::of(text).objection(rule, text);
        for rule in [UserRule::NonRoot, UserRule::Numeric] {
            assert_eq!(objects("1000", rule), None);
            for text in ["", "0", "root", "-1", "a b"] {
                assert!(objects(text, rule).is_some(), "{text}");
            }
        }
        assert_eq!(objects("app", UserRule::NonRoot), None);
        let told = objects("app", UserRule::Numeric).unwrap();
        assert_eq!(told, "its USER app is not a number");
    }
}
