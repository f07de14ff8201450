//! Spans and moments in expressions: each is a number of seconds, put in its place when it is read.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

/// Longest span that may be written, in hours: a hundred years.
const HOURS_MAX: i64 = 24 * 365 * 100;

/// How a moment is read.
type Moment = fn(&str) -> Option<i64>;

/// Puts numbers in the place of every `duration('72h')` and `timestamp('2027-01-31T00:00:00Z')`.
///
/// # Errors
/// When one is not a text that can be read so.
pub(super) fn resolve(tree: &mut IdedExpr, moment: Moment) -> Result<(), String> {
    if let Expr::Call(call) = &tree.expr
        && let Some(seconds) = seconds(call, moment)
    {
        tree.expr = Expr::Literal(LiteralValue::Int(seconds?.into()));
        return Ok(());
    }
    match &mut tree.expr {
        Expr::Call(call) => {
            let target = call.target.as_deref_mut();
            target.into_iter().chain(&mut call.args).try_for_each(|it| resolve(it, moment))
        }
        Expr::Comprehension(it) => [
            &mut it.iter_range,
            &mut it.accu_init,
            &mut it.loop_cond,
            &mut it.loop_step,
            &mut it.result,
        ]
        .into_iter()
        .try_for_each(|it| resolve(it, moment)),
        Expr::List(list) => list.elements.iter_mut().try_for_each(|it| resolve(it, moment)),
        Expr::Select(select) => resolve(&mut select.operand, moment),
        // Maps and messages are refused by whoever walks the expression.
        Expr::Ident(_) | Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
            Ok(())
        }
    }
}

/// The text that is written here.
fn literal(expression: &Expr) -> Option<&str> {
    if let Expr::Literal(LiteralValue::String(text)) = expression {
        Some(text.inner())
    } else {
        None
    }
}

fn seconds(call: &CallExpr, moment: Moment) -> Option<Result<i64, String>> {
    let read: Moment = match call.func_name.as_str() {
        "duration" => duration,
        "timestamp" => moment,
        _ => return None,
    };
    let text = match (call.target.as_ref(), call.args.as_slice()) {
        (None, [one]) => literal(&one.expr),
        _ => None,
    };
    let Some(text) = text else {
        return Some(Err(format!("{} takes one text, as in {}", call.func_name, EXAMPLES)));
    };
    Some(read(text).ok_or_else(|| {
        format!("{}('{}') is no such time; write {EXAMPLES}", call.func_name, super::shown(text))
    }))
}

const EXAMPLES: &str = "duration('72h'), duration('7d') or timestamp('2027-01-31T00:00:00Z')";

/// A whole number of minutes, hours or days.
fn duration(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = number.parse().ok().filter(|_| plain)?;
    number.checked_mul(seconds).filter(|seconds| *seconds <= HOURS_MAX * 3600)
}
