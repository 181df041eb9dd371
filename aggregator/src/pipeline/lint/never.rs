//! Conditions that no event can meet.

use super::written;
use crate::event::{Event, Value};
use crate::level::Level;
use crate::pipeline::ast::{Branch, Comparison, Expression, Join, Operand, Term};
use crate::pipeline::condition::{Condition, equal};
use crate::pipeline::diagnostic::Diagnostic;

/// Conditions of one `if` that are compared with each other; more is no file that a person wrote.
const ARMS_MAX: usize = 1_000;

/// Warns of conditions around these plugins and inside of them.
pub(super) fn check(branches: &[Branch], level_is_normalised: bool, diagnostics: &mut Vec<Diagnostic>) {
    for branch in branches {
        let Branch::If(condition) = branch else { continue };
        let mut before: Vec<Vec<&str>> = Vec::new();
        for arm in condition.arms.iter().take(ARMS_MAX) {
            let words: Vec<&str> = arm.span.text().split_whitespace().collect();
            if before.contains(&words) {
                let message = "the same condition stands before: this branch is never reached";
                diagnostics.push(Diagnostic::warning(&arm.span, message, "remove it, or ask for something else"));
            } else if let Some(why) = never(&arm.condition) {
                diagnostics.push(Diagnostic::warning(&arm.span, format!("this is never true: {why}"), ""));
            }
            before.push(words);
            if level_is_normalised {
                levels(&arm.condition, diagnostics);
            }
            check(&arm.body, level_is_normalised, diagnostics);
        }
        condition.otherwise.iter().for_each(|body| check(body, level_is_normalised, diagnostics));
    }
}

/// Why a condition can never be true, if that is certain.
fn never(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Join(left, Join::Or, right) => never(left).filter(|_| never(right).is_some()),
        Expression::Join(_, Join::And, _) => {
            let mut parts = Vec::new();
            conjuncts(expression, &mut parts);
            parts.iter().find_map(|part| never(part)).or_else(|| contradiction(&parts))
        }
        Expression::Compare(left, comparison, right) => {
            // Where no side is a field, an event without any answers for all.
            fixed(left).and(fixed(right))?;
            let holds = Condition::build(expression, &mut Vec::new())?.holds(&Event::new());
            let shown = comparison.sign();
            (!holds).then(|| format!("{} {shown} {} is false whatever the event", written(left), written(right)))
        }
        Expression::In(_, list, false) if matches!(&list.term, Term::Array(items) if items.is_empty()) => {
            Some("nothing is in an empty list".to_owned())
        }
        _ => None,
    }
}

fn conjuncts<'a>(expression: &'a Expression, parts: &mut Vec<&'a Expression>) {
    match expression {
        Expression::Join(left, Join::And, right) => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        other => parts.push(other),
    }
}

/// What one part of a condition says of one field.
enum Claim {
    /// It is one of these.
    OneOf(Vec<Value>),
    /// It is not this.
    Not(Value),
    /// It is at least (or, with the flag, more than) this.
    AtLeast(f64, bool),
    /// It is at most (or less than) this.
    AtMost(f64, bool),
    /// It is missing, empty or false.
    Absent,
    /// It is there.
    Present,
}

/// Two parts that cannot both be true.
fn contradiction(parts: &[&Expression]) -> Option<String> {
    let claims: Vec<(&str, Claim)> = parts.iter().filter_map(|part| claim(part)).collect();
    for (index, (field, one)) in claims.iter().enumerate() {
        for (other_field, other) in &claims[index + 1..] {
            if field == other_field && (excludes(one, other) || excludes(other, one)) {
                return Some(format!("{field} cannot be both"));
            }
        }
    }
    None
}

fn claim(part: &Expression) -> Option<(&str, Claim)> {
    let field = |operand: &Operand| matches!(operand.term, Term::Field(_));
    match part {
        Expression::Compare(left, comparison, right) if field(left) => {
            Some((written(left), compared(*comparison, fixed(right)?)?))
        }
        Expression::Compare(left, comparison, right) if field(right) => {
            Some((written(right), compared(comparison.mirrored(), fixed(left)?)?))
        }
        Expression::In(left, right, false) if field(left) => match fixed(right)? {
            Value::Array(items) => Some((written(left), Claim::OneOf(items))),
            _ => None,
        },
        Expression::Match(left, _, false) if field(left) => Some((written(left), Claim::Present)),
        Expression::Truthy(operand) if field(operand) => Some((written(operand), Claim::Present)),
        Expression::Not(inner) => match &**inner {
            Expression::Truthy(operand) if field(operand) => Some((written(operand), Claim::Absent)),
            _ => None,
        },
        _ => None,
    }
}

fn compared(comparison: Comparison, value: Value) -> Option<Claim> {
    let number = match value {
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    };
    Some(match comparison {
        Comparison::Equal => Claim::OneOf(vec![value]),
        Comparison::NotEqual => Claim::Not(value),
        Comparison::Less => Claim::AtMost(number?, true),
        Comparison::LessOrEqual => Claim::AtMost(number?, false),
        Comparison::Greater => Claim::AtLeast(number?, true),
        Comparison::GreaterOrEqual => Claim::AtLeast(number?, false),
    })
}

fn excludes(one: &Claim, other: &Claim) -> bool {
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    let same = |one: &Value, other: &Value| equal(one.as_ref(), other.as_ref());
    match (one, other) {
        (Claim::OneOf(some), Claim::OneOf(others)) => {
            !some.iter().any(|value| others.iter().any(|other| same(value, other)))
        }
        (Claim::OneOf(some), Claim::Not(value)) => some.iter().all(|one| same(one, value)),
        // A text is no number, but who compares it with one will see that by another warning.
        (Claim::OneOf(some), Claim::AtLeast(low, strict)) => {
            some.iter().all(|value| number(value).is_some_and(|number| number < *low || (*strict && number == *low)))
        }
        (Claim::OneOf(some), Claim::AtMost(high, strict)) => {
            some.iter().all(|value| number(value).is_some_and(|number| number > *high || (*strict && number == *high)))
        }
        (Claim::AtLeast(low, above), Claim::AtMost(high, below)) => low > high || (low == high && (*above || *below)),
        (Claim::Absent, Claim::Present | Claim::AtLeast(..) | Claim::AtMost(..)) => true,
        (Claim::Absent, Claim::OneOf(some)) => {
            let empty = |value: &Value| {
                matches!(value, Value::Bool(false)) || value.as_str() == Some("") || value.as_str() == Some("false")
            };
            !some.iter().any(empty)
        }
        _ => false,
    }
}

/// A value that does not depend on the event.
fn fixed(operand: &Operand) -> Option<Value> {
    Some(match &operand.term {
        Term::Text(text) => Value::Text(text.as_str().into()),
        Term::Number(digits) => digits.parse().map(Value::Int).or_else(|_| digits.parse().map(Value::Float)).ok()?,
        Term::Bool(value) => Value::Bool(*value),
        Term::Array(items) => Value::Array(items.iter().map(fixed).collect::<Option<_>>()?),
        Term::Field(_) | Term::Regexp(_) => return None,
    })
}

/// Warns of names that the filter `level` never writes.
fn levels(expression: &Expression, diagnostics: &mut Vec<Diagnostic>) {
    match expression {
        Expression::Join(left, _, right) => {
            levels(left, diagnostics);
            levels(right, diagnostics);
        }
        Expression::Not(inner) => levels(inner, diagnostics),
        Expression::Compare(left, Comparison::Equal | Comparison::NotEqual, right) | Expression::In(left, right, _)
            if written(left) == "[log][level]" =>
        {
            let items = if let Term::Array(items) = &right.term { &items[..] } else { std::slice::from_ref(right) };
            for item in items {
                let Term::Text(name) = &item.term else { continue };
                let Some(level) = Level::from_name(name).filter(|level| level.as_str() != name) else { continue };
                let hint = format!("write \"{}\"", level.as_str());
                let message = format!("the filter `level` never writes `{name}`");
                diagnostics.push(Diagnostic::warning(&item.span, message, hint));
            }
        }
        _ => {}
    }
}
