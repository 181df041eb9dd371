//! Conditions, checked at load and answered per event without allocating.

use std::cmp::Ordering;
use std::sync::LazyLock;

use super::ast::{Comparison, Expression, Join, Operand, Term};
use super::diagnostic::Diagnostic;
use super::pattern::Pattern;
use crate::event::{Event, FieldPath, Text, Value, ValueRef};
use crate::level::Level;

static LEVEL: LazyLock<FieldPath> = LazyLock::new(|| FieldPath::of(&["log", "level"]));

/// A condition that has been checked.
#[derive(Debug)]
pub enum Condition {
    /// How both sides are joined, and the sides, next to each other in memory.
    Join(Join, Box<[Condition; 2]>),
    /// The opposite.
    Not(Box<Condition>),
    /// `==`, `<` and so on.
    Compare(Side, Comparison, Side),
    /// `in`; the opposite if the flag is set.
    In(Side, Side, bool),
    /// `=~`; the opposite if the flag is set.
    Match(Side, Box<Pattern>, bool),
    /// Whether it is there and neither false nor empty.
    Truthy(Side),
    /// A condition about `[log][level]` alone, answered beforehand, and itself for texts that are no level's name.
    Level(Levels, Box<Condition>),
}

/// Whether a condition about `[log][level]` alone holds for each of [`Level::ALL`], and where there is none: pipelines
/// ask for it in every other line.
#[derive(Debug)]
pub struct Levels {
    each: [bool; Level::ALL.len()],
    none: bool,
}

/// One side of a comparison.
#[derive(Debug)]
pub enum Side {
    /// A field.
    Field(FieldPath),
    /// A value that was written out.
    Fixed(Value),
    /// A list that has fields in it.
    List(Vec<Side>),
}

impl Condition {
    /// Checks a condition; what is wrong is added to `diagnostics`.
    pub fn build(expression: &Expression, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let condition = Self::build_one(expression, diagnostics)?;
        Some(match condition {
            Condition::Compare(..) | Condition::In(..) | Condition::Truthy(_) | Condition::Not(_)
                if condition.is_about_level() =>
            {
                Condition::Level(Levels::of(&condition), Box::new(condition))
            }
            condition => condition,
        })
    }

    /// Whether `[log][level]` is the only field it reads.
    fn is_about_level(&self) -> bool {
        let mut fields = Vec::new();
        self.fields(&mut fields);
        matches!(fields[..], [field] if field == &*LEVEL)
    }

    fn build_one(expression: &Expression, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        Some(match expression {
            Expression::Join(left, join, right) => {
                let (left, right) = (Self::build(left, diagnostics), Self::build(right, diagnostics));
                let (left, right) = (left?, right?);
                // A condition has no effects, so the side that is answered sooner may come first.
                let (first, second) = if right.cost() < left.cost() { (right, left) } else { (left, right) };
                Condition::Join(*join, Box::new([first, second]))
            }
            Expression::Not(inner) => Condition::Not(Box::new(Self::build(inner, diagnostics)?)),
            Expression::Truthy(operand) => {
                if let Term::Regexp(_) | Term::Array(_) = operand.term {
                    diagnostics.push(Diagnostic::error(
                        &operand.span,
                        "this alone is no condition",
                        "compare it with a field",
                    ));
                    return None;
                }
                Condition::Truthy(side(operand, diagnostics)?)
            }
            Expression::Compare(left, comparison, right) => {
                let (left_side, right_side) = (side(left, diagnostics), side(right, diagnostics));
                if let (Term::Text(_), Term::Number(_)) | (Term::Number(_), Term::Text(_)) = (&left.term, &right.term) {
                    let span = left.span.to(&right.span);
                    diagnostics.push(Diagnostic::warning(
                        &span,
                        "a text is never equal to a number",
                        "remove the quotes",
                    ));
                }
                Condition::Compare(left_side?, *comparison, right_side?)
            }
            Expression::In(left, right, negated) => {
                let (left_side, right_side) = (side(left, diagnostics), side(right, diagnostics));
                if let Term::Number(_) | Term::Bool(_) = right.term {
                    diagnostics.push(Diagnostic::error(
                        &right.span,
                        "nothing can be in this",
                        "write a list, a text or a field",
                    ));
                    return None;
                }
                Condition::In(left_side?, right_side?, *negated)
            }
            Expression::Match(left, right, negated) => {
                let left_side = side(left, diagnostics);
                let (Term::Regexp(pattern) | Term::Text(pattern)) = &right.term else {
                    let message = "only a regular expression can stand here";
                    diagnostics.push(Diagnostic::error(
                        &right.span,
                        message,
                        "write it between slashes, as in `/^a.*b$/`",
                    ));
                    return None;
                };
                match Pattern::new(&pattern.replace("\\/", "/")) {
                    Ok(pattern) => Condition::Match(left_side?, Box::new(pattern), *negated),
                    Err(error) => {
                        diagnostics.push(Diagnostic::error(&right.span, error.to_string(), ""));
                        return None;
                    }
                }
            }
        })
    }

    /// How long it takes to answer, in nanoseconds or so: an order, no more.
    fn cost(&self) -> usize {
        match self {
            Condition::Level(..) => 1,
            Condition::Truthy(_) => 10,
            Condition::Compare(..) | Condition::In(..) => 20,
            Condition::Match(..) => 100,
            Condition::Not(inner) => inner.cost(),
            // The second side is often not asked.
            Condition::Join(_, both) => both[0].cost() + both[1].cost() / 2,
        }
    }

    /// Whether it holds for `event`.
    pub fn holds(&self, event: &Event) -> bool {
        match self {
            Condition::Join(join, both) => {
                let [first, second] = &**both;
                match join {
                    Join::And => first.holds(event) && second.holds(event),
                    Join::Or => first.holds(event) || second.holds(event),
                    Join::Xor => first.holds(event) != second.holds(event),
                    Join::Nand => !(first.holds(event) && second.holds(event)),
                }
            }
            Condition::Not(inner) => !inner.holds(event),
            Condition::Truthy(side) => truthy(side.get(event)),
            Condition::Level(levels, condition) => match event.get(&LEVEL) {
                None => levels.none,
                Some(value) => match value.as_str().and_then(Level::from_canonical) {
                    Some(level) => levels.each[level as usize],
                    None => condition.holds(event),
                },
            },
            Condition::Compare(left, comparison, right) => compare(left, *comparison, right, event),
            Condition::In(left, right, negated) => is_in(left, right, event) != *negated,
            Condition::Match(left, pattern, negated) => match left.get(event) {
                Some(ValueRef::Text(text)) => pattern.is_match(text) != *negated,
                // A field that is no text matches nothing, so `!~` holds.
                _ => *negated,
            },
        }
    }

    /// The fields it reads.
    pub fn fields<'a>(&'a self, found: &mut Vec<&'a FieldPath>) {
        match self {
            Condition::Join(_, both) => both.iter().for_each(|side| side.fields(found)),
            Condition::Not(inner) => inner.fields(found),
            Condition::Compare(left, _, right) | Condition::In(left, right, _) => {
                left.fields(found);
                right.fields(found);
            }
            Condition::Match(side, ..) | Condition::Truthy(side) => side.fields(found),
            Condition::Level(_, condition) => condition.fields(found),
        }
    }
}

impl Levels {
    fn of(condition: &Condition) -> Self {
        let each = Level::ALL.map(|level| {
            let mut event = Event::new();
            event.set(&LEVEL, Value::fixed(level.as_str()));
            condition.holds(&event)
        });
        Self { each, none: condition.holds(&Event::new()) }
    }
}

impl Side {
    fn get<'a>(&'a self, event: &'a Event) -> Option<ValueRef<'a>> {
        match self {
            Side::Field(path) => event.get(path),
            Side::Fixed(value) => Some(value.as_ref()),
            Side::List(_) => None,
        }
    }

    fn fields<'a>(&'a self, found: &mut Vec<&'a FieldPath>) {
        match self {
            Side::Field(path) => found.push(path),
            Side::Fixed(_) => {}
            Side::List(items) => items.iter().for_each(|item| item.fields(found)),
        }
    }
}

fn side(operand: &Operand, diagnostics: &mut Vec<Diagnostic>) -> Option<Side> {
    match &operand.term {
        Term::Field(text) => match FieldPath::parse(text) {
            Ok(path) => Some(Side::Field(path)),
            Err(error) => {
                diagnostics.push(Diagnostic::error(&operand.span, error.to_string(), ""));
                None
            }
        },
        Term::Text(text) => Some(Side::Fixed(Value::Text(text.as_str().into()))),
        Term::Number(digits) => Some(Side::Fixed(number(digits))),
        Term::Bool(value) => Some(Side::Fixed(Value::Bool(*value))),
        Term::Regexp(_) => {
            diagnostics.push(Diagnostic::error(
                &operand.span,
                "a regular expression can stand only behind `=~` and `!~`",
                "",
            ));
            None
        }
        Term::Array(items) => {
            let sides: Vec<Option<Side>> = items.iter().map(|item| side(item, diagnostics)).collect();
            let sides: Vec<Side> = sides.into_iter().collect::<Option<_>>()?;
            if sides.iter().any(|side| !matches!(side, Side::Fixed(_))) {
                return Some(Side::List(sides));
            }
            let fixed =
                sides.into_iter().filter_map(|side| if let Side::Fixed(value) = side { Some(value) } else { None });
            Some(Side::Fixed(Value::Array(fixed.collect())))
        }
    }
}

fn number(digits: &str) -> Value {
    match digits.parse() {
        Ok(whole) => Value::Int(whole),
        Err(_) => digits.parse().map_or_else(|_| Value::Big(Text::from(digits)), Value::Float),
    }
}

/// Missing, null, false, "false" and the empty text are not; everything else is.
fn truthy(value: Option<ValueRef<'_>>) -> bool {
    match value {
        None | Some(ValueRef::Null | ValueRef::Bool(false)) => false,
        Some(ValueRef::Text(text)) => !text.is_empty() && **text != *"false",
        Some(_) => true,
    }
}

/// Whether two values are the same; numbers also across kinds.
pub fn equal(left: ValueRef<'_>, right: ValueRef<'_>) -> bool {
    match (left, right) {
        (ValueRef::Text(left), ValueRef::Text(right)) => left == right,
        (ValueRef::Int(left), ValueRef::Float(right)) | (ValueRef::Float(right), ValueRef::Int(left)) => {
            left as f64 == right
        }
        (ValueRef::Time(time), ValueRef::Text(text)) | (ValueRef::Text(text), ValueRef::Time(time)) => {
            text.parse::<jiff::Timestamp>().is_ok_and(|parsed| parsed == time)
        }
        (ValueRef::Array(left), ValueRef::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| equal(left.as_ref(), right.as_ref()))
        }
        (left, right) => left == right,
    }
}

/// Values of different kinds have no order: every `<` and `>` between them is false.
fn order(left: ValueRef<'_>, right: ValueRef<'_>) -> Option<Ordering> {
    match (left, right) {
        (ValueRef::Text(left), ValueRef::Text(right)) => Some(left.cmp(right)),
        (ValueRef::Int(left), ValueRef::Int(right)) => Some(left.cmp(&right)),
        (ValueRef::Int(left), ValueRef::Float(right)) => (left as f64).partial_cmp(&right),
        (ValueRef::Float(left), ValueRef::Int(right)) => left.partial_cmp(&(right as f64)),
        (ValueRef::Float(left), ValueRef::Float(right)) => left.partial_cmp(&right),
        (ValueRef::Time(left), ValueRef::Time(right)) => Some(left.cmp(&right)),
        (ValueRef::Time(left), ValueRef::Text(right)) => Some(left.cmp(&right.parse().ok()?)),
        (ValueRef::Text(left), ValueRef::Time(right)) => Some(left.parse::<jiff::Timestamp>().ok()?.cmp(&right)),
        _ => None,
    }
}

fn compare(left: &Side, comparison: Comparison, right: &Side, event: &Event) -> bool {
    let (left, right) = (left.get(event), right.get(event));
    let same = || match (left, right) {
        (Some(left), Some(right)) => equal(left, right),
        (None, None) => true,
        (None, Some(value)) | (Some(value), None) => value == ValueRef::Null,
    };
    let ordered = || order(left?, right?);
    match comparison {
        Comparison::Equal => same(),
        Comparison::NotEqual => !same(),
        Comparison::Less => ordered().is_some_and(Ordering::is_lt),
        Comparison::LessOrEqual => ordered().is_some_and(Ordering::is_le),
        Comparison::Greater => ordered().is_some_and(Ordering::is_gt),
        Comparison::GreaterOrEqual => ordered().is_some_and(Ordering::is_ge),
    }
}

fn is_in(left: &Side, right: &Side, event: &Event) -> bool {
    let Some(left) = left.get(event).filter(|value| *value != ValueRef::Null) else { return false };
    if let Side::List(items) = right {
        return items.iter().filter_map(|item| item.get(event)).any(|item| equal(left, item));
    }
    match (left, right.get(event)) {
        (left, Some(ValueRef::Array(items))) => items.iter().any(|item| equal(left, item.as_ref())),
        (ValueRef::Text(part), Some(ValueRef::Text(whole))) => {
            memchr::memmem::find(whole.as_bytes(), part.as_bytes()).is_some()
        }
        (ValueRef::Text(name), Some(ValueRef::Object(object))) => object.get(name).is_some(),
        (left, Some(right)) => equal(left, right),
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{LoadOptions, Program, Tally};

    /// Which of some values of `[log][level]` a condition holds for.
    fn holds_for(condition: &str) -> String {
        let text = format!("filter {{ if {condition} {{ drop {{ }} }} }}");
        let program = Program::parse(vec![("test".into(), text)], &LoadOptions::default()).unwrap();
        let null = Some(Value::Null);
        let text = |name: &'static str| Some(Value::fixed(name));
        let levels = [
            ("none", None),
            ("null", null),
            ("number", Some(Value::Int(3))),
            ("WARN", text("WARN")),
            ("empty", text("")),
            ("info", text("info")),
            ("error", text("error")),
        ];
        let mut tally = Tally::new();
        let mut names = Vec::new();
        for (name, level) in levels {
            let mut event = Event::new();
            if let Some(level) = level {
                event.set(&LEVEL, level);
            }
            let mut kept = Vec::new();
            program.run(event, &mut kept, &mut tally);
            if kept.is_empty() {
                names.push(name);
            }
        }
        names.join(" ")
    }

    #[test]
    fn conditions_about_the_level_hold_as_about_any_field() {
        for (condition, expected) in [
            ("[log][level] == \"info\"", "info"),
            ("[log][level] != \"info\"", "none null number WARN empty error"),
            ("[log][level] in [\"info\", \"WARN\"]", "WARN info"),
            ("[log][level] not in [\"info\", \"WARN\"]", "none null number empty error"),
            ("[log][level]", "number WARN info error"),
            ("![log][level]", "none null empty"),
            ("![log][level] or [log][level] == \"error\"", "none null empty error"),
            ("!([log][level] == \"error\")", "none null number WARN empty info"),
            ("[log][level] > \"f\"", "info"),
        ] {
            assert_eq!(holds_for(condition), expected, "{condition}");
        }
    }
}
