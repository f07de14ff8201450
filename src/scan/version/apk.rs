//! Versions of apk-tools: `digits{.digits}{letter}{_suffix{digits}}{~hash}{-rdigits}`.
//!
//! Spec: <https://gitlab.alpinelinux.org/alpine/apk-tools/-/blob/v3.0.0/doc/apk-package.5.scd>

use std::cmp::Ordering;

use super::number::{compare_digits, take_digits, take_letters, take_while};

/// A version of apk-tools.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Apk(Box<str>);

impl Apk {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut tokens = Tokens::of(text);
        loop {
            match tokens.next_token() {
                Some(Token::End) => return Ok(Self(text.into())),
                Some(_) => {}
                None => return Err("a part of it is not allowed where it stands"),
            }
        }
    }

    /// Whether `bound` has no revision, and this is one of its.
    pub(super) fn is_release_of(&self, bound: &Self) -> bool {
        let (mut own, mut bound) = (Tokens::of(&self.0), Tokens::of(&bound.0));
        loop {
            match (own.next_token(), bound.next_token()) {
                (Some(Token::End | Token::Revision(_)), Some(Token::End)) => return true,
                (Some(own), Some(bound)) if own.compare(bound).is_eq() => {}
                _ => return false,
            }
        }
    }
}

/// A part of a version, in the order in which parts may follow each other.
#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    First(&'a [u8]),
    Digits(&'a [u8]),
    Letter(u8),
    Suffix(Suffix),
    SuffixNumber(&'a [u8]),
    Hash(&'a [u8]),
    Revision(&'a [u8]),
    End,
}

/// The suffixes, in their order; those before `Cvs` are of something that is not released yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suffix {
    Alpha,
    Beta,
    Pre,
    Rc,
    Cvs,
    Svn,
    Git,
    Hg,
    P,
}

impl Suffix {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"alpha" => Self::Alpha,
            b"beta" => Self::Beta,
            b"pre" => Self::Pre,
            b"rc" => Self::Rc,
            b"cvs" => Self::Cvs,
            b"svn" => Self::Svn,
            b"git" => Self::Git,
            b"hg" => Self::Hg,
            b"p" => Self::P,
            _ => return None,
        })
    }
}

impl Token<'_> {
    const fn place(self) -> u8 {
        match self {
            Self::First(_) => 0,
            Self::Digits(_) => 1,
            Self::Letter(_) => 2,
            Self::Suffix(_) => 3,
            Self::SuffixNumber(_) => 4,
            Self::Hash(_) => 5,
            Self::Revision(_) => 6,
            Self::End => 7,
        }
    }

    fn is_of_prerelease(self) -> bool {
        matches!(self, Self::Suffix(suffix) if suffix < Suffix::Cvs)
    }

    /// The order of two parts that follow equal ones.
    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            // Behind a dot, and with a leading zero on either side, they are read as fractions are.
            (Self::Digits(a @ [b'0', ..]), Self::Digits(b))
            | (Self::Digits(a), Self::Digits(b @ [b'0', ..]))
            | (Self::Hash(a), Self::Hash(b)) => a.cmp(b),
            (Self::First(a), Self::First(b))
            | (Self::Digits(a), Self::Digits(b))
            | (Self::SuffixNumber(a), Self::SuffixNumber(b))
            | (Self::Revision(a), Self::Revision(b)) => compare_digits(a, b),
            (Self::Letter(a), Self::Letter(b)) => a.cmp(&b),
            (Self::Suffix(a), Self::Suffix(b)) => a.cmp(&b),
            _ => match (self.is_of_prerelease(), other.is_of_prerelease()) {
                (true, _) => Ordering::Less,
                (_, true) => Ordering::Greater,
                // What could have come earlier is more.
                (false, false) => other.place().cmp(&self.place()),
            },
        }
    }
}

/// The parts of a version, from its beginning.
struct Tokens<'a> {
    rest: &'a [u8],
    place: Option<u8>,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        Self { rest: text.as_bytes(), place: None }
    }

    /// The next part; `None` when what follows is none, or may not follow.
    fn next_token(&mut self) -> Option<Token<'a>> {
        let (token, rest) = match (self.place, self.rest) {
            (None, rest) => number(rest, Token::First)?,
            (Some(_), []) => (Token::End, self.rest),
            (Some(0 | 1), [b'.', rest @ ..]) => number(rest, Token::Digits)?,
            (Some(0 | 1), [letter @ b'a'..=b'z', rest @ ..]) => (Token::Letter(*letter), rest),
            (Some(3), [b'0'..=b'9', ..]) => number(self.rest, Token::SuffixNumber)?,
            (Some(0..=4), [b'_', rest @ ..]) => {
                let (name, rest) = take_letters(rest);
                (Token::Suffix(Suffix::of(name)?), rest)
            }
            (Some(0..=4), [b'~', rest @ ..]) => match take_while(rest, is_of_hash) {
                ([], _) => return None,
                (hash, rest) => (Token::Hash(hash), rest),
            },
            (Some(0..=5), [b'-', b'r', rest @ ..]) => number(rest, Token::Revision)?,
            _ => return None,
        };
        (self.place, self.rest) = (Some(token.place()), rest);
        Some(token)
    }
}

fn number<'a>(bytes: &'a [u8], kind: fn(&'a [u8]) -> Token<'a>) -> Option<(Token<'a>, &'a [u8])> {
    match take_digits(bytes) {
        ([], _) => None,
        (digits, rest) => Some((kind(digits), rest)),
    }
}

fn is_of_hash(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

impl Ord for Apk {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (Tokens::of(&self.0), Tokens::of(&other.0));
        loop {
            // Both were read to their ends before.
            let token = a.next_token().unwrap_or(Token::End);
            let other_token = b.next_token().unwrap_or(Token::End);
            let order = token.compare(other_token);
            if order.is_ne() || matches!(token, Token::End) {
                return order;
            }
        }
    }
}

impl PartialOrd for Apk {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Apk {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Apk {}
