//! What a route says of itself, beside method, path and permission: the table has it with the handler.

use axum::http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::super::body::BODY_BYTES_MAX;
use super::super::idempotency::Keys;

/// Makes the schema of one type.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What a route takes and gives.
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
#[derive(Debug, Clone)]
pub(in crate::http::admin) struct Told {
    pub(super) summary: &'static str,
    pub(super) segment: Option<Describe>,
    pub(super) query: Option<Describe>,
    pub(super) body: Option<Body>,
    pub(super) answer: Answer,
    /// The statuses of problems that it may give, beside those that follow from what it takes.
    pub(super) problems: Vec<u16>,
    pub(super) is_conditional: bool,
    pub(super) is_versioned: bool,
    pub(super) is_paged: bool,
    pub(super) tells_secret: bool,
}

/// What is sent along.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    pub(super) schema: Describe,
    pub(super) bytes_max: usize,
}

/// What comes back when all is well.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// Bytes of some other type.
    Bytes(&'static str),
    /// One JSON value.
    Json(StatusCode, Describe),
    /// A JSON value on each line, in a body of this type.
    Lines(&'static str, Describe),
    /// Events, as they happen, with a JSON value each.
    Events(Describe),
    /// Nothing.
    Nothing,
}

/// A route that does what `summary` says.
pub(in crate::http::admin) fn says(summary: &'static str) -> Told {
    Told {
        summary,
        segment: None,
        query: None,
        body: None,
        answer: Answer::Nothing,
        problems: Vec::new(),
        is_conditional: false,
        is_versioned: false,
        is_paged: false,
        tells_secret: false,
    }
}

impl Told {
    /// The segment of its path that varies is a `T`.
    pub(in crate::http::admin) fn at<T: JsonSchema>(self) -> Self {
        Self { segment: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// Its query parameters are the fields of `T`.
    pub(in crate::http::admin) fn asks<T: JsonSchema>(self) -> Self {
        Self { query: Some(T::json_schema), ..self }
    }

    /// Its body is a `T`.
    pub(in crate::http::admin) fn takes<T: JsonSchema>(self) -> Self {
        self.takes_up_to::<T>(BODY_BYTES_MAX)
    }

    /// Its body is a `T` of at most so many bytes.
    pub(in crate::http::admin) fn takes_up_to<T: JsonSchema>(self, bytes_max: usize) -> Self {
        let body = Body { schema: SchemaGenerator::subschema_for::<T>, bytes_max };
        Self { body: Some(body), ..self }
    }

    /// It answers with a `T`.
    pub(in crate::http::admin) fn gives<T: JsonSchema>(self) -> Self {
        let answer = Answer::Json(StatusCode::OK, SchemaGenerator::subschema_for::<T>);
        Self { answer, ..self }
    }

    /// It answers with a `T` that is new.
    pub(in crate::http::admin) fn creates<T: JsonSchema>(self) -> Self {
        let answer = Answer::Json(StatusCode::CREATED, SchemaGenerator::subschema_for::<T>);
        Self { answer, ..self }
    }

    /// It answers with lines of `content_type`, each of them a `T`.
    pub(in crate::http::admin) fn lines<T: JsonSchema>(self, content_type: &'static str) -> Self {
        let answer = Answer::Lines(content_type, SchemaGenerator::subschema_for::<T>);
        Self { answer, ..self }
    }

    /// It answers with bytes of `content_type`.
    pub(in crate::http::admin) fn bytes(self, content_type: &'static str) -> Self {
        Self { answer: Answer::Bytes(content_type), ..self }
    }

    /// It answers with events as they happen, each of them a `T`.
    pub(in crate::http::admin) fn streams<T: JsonSchema>(self) -> Self {
        Self { answer: Answer::Events(SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// Its answer has a secret, which is told once.
    pub(in crate::http::admin) fn secret(self) -> Self {
        Self { tells_secret: true, ..self }
    }

    /// Most bytes that its body may have.
    pub(in crate::http::admin) fn body_bytes_max(&self) -> usize {
        self.body.as_ref().map_or(BODY_BYTES_MAX, |body| body.bytes_max)
    }

    /// What it does about an `Idempotency-Key`, being a route for `method`.
    pub(in crate::http::admin) fn keys(&self, method: &Method) -> Keys {
        match self.answer {
            _ if *method != Method::POST => Keys::NotAsked,
            Answer::Json(..) if !self.tells_secret => Keys::Heeded,
            Answer::Bytes(_)
            | Answer::Events(_)
            | Answer::Json(..)
            | Answer::Lines(..)
            | Answer::Nothing => Keys::Refused,
        }
    }

    /// It may also answer with problems of these statuses.
    pub(in crate::http::admin) fn may(self, problems: &[u16]) -> Self {
        Self { problems: problems.to_vec(), ..self }
    }

    /// It heeds `If-Match`.
    pub(in crate::http::admin) fn conditional(self) -> Self {
        Self { is_conditional: true, ..self }
    }

    /// It gives an `ETag`, for `If-Match` of what changes it.
    pub(in crate::http::admin) fn versioned(self) -> Self {
        Self { is_versioned: true, ..self }
    }

    /// It gives a stretch of a list, and says where the next one is.
    pub(in crate::http::admin) fn paged(self) -> Self {
        Self { is_paged: true, ..self }
    }
}
