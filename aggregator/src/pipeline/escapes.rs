//! Escapes in texts, for files that were written for Logstash's `config.support_escapes: true`.

use super::ast::{Branch, Expression, Literal, Operand, Plugin, Term, Value};

/// Puts what the escapes mean in their places, in option values and conditions.
pub(super) fn resolve(branches: &mut [Branch]) {
    for branch in branches {
        match branch {
            Branch::Plugin(plugin) => in_plugin(plugin),
            Branch::If(condition) => {
                for arm in &mut condition.arms {
                    in_expression(&mut arm.condition);
                    resolve(&mut arm.body);
                }
                condition.otherwise.iter_mut().for_each(|body| resolve(body));
            }
        }
    }
}

fn in_plugin(plugin: &mut Plugin) {
    plugin.attributes.iter_mut().for_each(|attribute| in_value(&mut attribute.value));
}

fn in_value(value: &mut Value) {
    match &mut value.literal {
        Literal::Text(text) => *text = resolved(text),
        Literal::Array(items) => items.iter_mut().for_each(in_value),
        Literal::Hash(entries) => {
            for (key, value) in entries {
                in_value(key);
                in_value(value);
            }
        }
        Literal::Plugin(plugin) => in_plugin(plugin),
        Literal::Bareword(_) | Literal::Number(_) => {}
    }
}

fn in_expression(expression: &mut Expression) {
    match expression {
        Expression::Join(left, _, right) => {
            in_expression(left);
            in_expression(right);
        }
        Expression::Not(inner) => in_expression(inner),
        Expression::Compare(left, _, right) | Expression::In(left, right, _) => {
            in_operand(left);
            in_operand(right);
        }
        // The right side is an expression with escapes of its own.
        Expression::Match(operand, ..) | Expression::Truthy(operand) => in_operand(operand),
    }
}

fn in_operand(operand: &mut Operand) {
    match &mut operand.term {
        Term::Text(text) => *text = resolved(text),
        Term::Array(items) => items.iter_mut().for_each(in_operand),
        _ => {}
    }
}

/// What a text means. A backslash before any other character goes away.
fn resolved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_escapes_mean() {
        assert_eq!(resolved(r#"a\nb\t\"c\" \\d \q\"#), "a\nb\t\"c\" \\d q\\");
    }
}
