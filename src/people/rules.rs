//! What a password may be: long, and not what everybody tries first. No rule about kinds of characters:
//! those make passwords worse.
//!
//! Spec: NIST SP 800-63B section 3.1.1.2.

/// Fewest characters of a password.
pub const PASSWORD_LENGTH_MIN: usize = 12;
/// Most bytes of a password: enough for any sentence, and few enough to be hashed.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Characters that have to be left of a password when the name is taken out of it.
const BESIDE_NAME_MIN: usize = 8;
/// Longest piece that a password may not be made of by repeating it, in characters.
const REPEATED_LENGTH_MAX: usize = 4;

/// What lists of leaked passwords have at that length, most common first.
const WORST: &[&str] = &[
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789012345",
    "1234567890123456",
    "12345678910",
    "123456789101112",
    "0123456789012",
    "098765432109",
    "987654321098",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopas",
    "qwertyuiopasdf",
    "qwertyuiop[]",
    "qwertyqwerty",
    "qwerty123456",
    "qwerty1234567",
    "qwerty12345678",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "qazwsxedcrfv",
    "zaq12wsxcde3",
    "asdfghjkl123",
    "asdfghjklqwerty",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "password!123",
    "password@123",
    "passw0rd1234",
    "p@ssw0rd1234",
    "p@ssword1234",
    "letmein12345",
    "letmeinletmein",
    "iloveyou1234",
    "iloveyouiloveyou",
    "welcome12345",
    "welcome123456",
    "welcomewelcome",
    "adminadmin12",
    "adminadminadmin",
    "administrator",
    "administrator1",
    "administrator123",
    "admin1234567",
    "admin12345678",
    "changeme1234",
    "changemechangeme",
    "trustno1trustno1",
    "superman1234",
    "football1234",
    "baseball1234",
    "princess1234",
    "sunshine1234",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcdefghijklmnop",
    "abcdefg12345",
    "abcd12345678",
    "abc123456789",
    "a123456789012",
    "google123456",
    "unknown12345",
    "computer1234",
    "michael12345",
    "charlie12345",
    "correcthorsebatterystaple",
    "correct horse battery staple",
    "kubernetes123",
    "pratique1234",
    "pratiquepratique",
    "docker123456",
    "registry1234",
    "secretsecret",
    "supersecret123",
    "thisismypassword",
    "mypassword123",
];

/// Why a text is no good as a password; for whoever chose it, and never with the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// It is on every list.
    #[error("this password is one of those that are tried first; choose another")]
    Common,
    /// It is the name, or little more.
    #[error("a password must not be the name; choose another")]
    Name,
    /// It is one short piece over and over.
    #[error("this password repeats one short piece; choose another")]
    Repeated,
    /// Too long.
    #[error("a password has at most 1024 bytes")]
    TooLong,
    /// Too short.
    #[error(
        "a password has at least 12 characters; a few words that only you would put together do"
    )]
    TooShort,
}

/// Whether `password` may be that of the person called `name`.
///
/// # Errors
/// When it is too short, too long, or among the first that somebody would try.
pub fn check_password(password: &str, name: &str) -> Result<(), PasswordProblem> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordProblem::TooLong);
    }
    let characters: Vec<char> = password.chars().collect();
    if characters.len() < PASSWORD_LENGTH_MIN {
        return Err(PasswordProblem::TooShort);
    }
    let lower = password.to_lowercase();
    if WORST.contains(&lower.trim()) {
        return Err(PasswordProblem::Common);
    }
    let beside = lower.replace(&name.to_lowercase(), "");
    if !name.is_empty() && lower != beside && beside.chars().count() < BESIDE_NAME_MIN {
        return Err(PasswordProblem::Name);
    }
    let repeats = |length: usize| {
        let mut shifted = characters.iter().zip(characters.iter().skip(length));
        shifted.all(|(one, other)| one == other)
    };
    if (1..=REPEATED_LENGTH_MAX).any(repeats) {
        return Err(PasswordProblem::Repeated);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_passwords_of_any_characters_are_taken_and_the_worst_are_not() {
        for good in [
            "twelve chars",
            "only lower case words",
            "über die brücke",
            "пароль из слов",
            "🦀🦞🦐🐙🦑🐚🐠🐟🐡🦈🐬🐳",
            &"a b c d e f ".repeat(80),
            "alice has 12 cats",
        ] {
            assert_eq!(check_password(good, "alice"), Ok(()), "{good}");
        }
        for (bad, problem) in [
            ("", PasswordProblem::TooShort),
            ("elevenchars", PasswordProblem::TooShort),
            ("üüüüüüüüüüü", PasswordProblem::TooShort),
            ("            ", PasswordProblem::Repeated),
            ("aaaaaaaaaaaa", PasswordProblem::Repeated),
            ("abcabcabcabc", PasswordProblem::Repeated),
            ("alicealicealice", PasswordProblem::Name),
            ("Alice1234567", PasswordProblem::Name),
            ("PassWord1234", PasswordProblem::Common),
            ("correct horse battery staple", PasswordProblem::Common),
            (&"long words ".repeat(100), PasswordProblem::TooLong),
        ] {
            assert_eq!(check_password(bad, "alice"), Err(problem), "{bad}");
        }
    }

    #[test]
    fn no_problem_repeats_the_password() {
        for bad in ["hunter2", "hunter2hunter2hunter2", "password1234"] {
            if let Err(problem) = check_password(bad, "hunter2") {
                assert!(!format!("{problem} {problem:?}").contains(bad));
            }
        }
    }
}
