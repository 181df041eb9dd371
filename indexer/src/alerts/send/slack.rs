//! Slack's incoming webhooks: `{"text": …}` with Slack's three characters escaped.

use serde_json::{Value, json};

use super::{Notice, headline};

/// The body.
pub(super) fn body(service: &str, notices: &[&Notice], link: &str) -> Value {
    let mut text = format!("*{}*", escape(&headline(service, notices)));
    for notice in notices {
        text.push('\n');
        text.push_str(&escape(&notice.line()));
    }
    if !link.is_empty() {
        text.push('\n');
        text.push_str(&escape(link));
    }
    json!({ "text": text })
}

/// Log lines must not mention people or make links.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::notice;
    use super::*;

    #[test]
    fn lines_cannot_mention_anybody() {
        let one = notice("service.name", "web", false);
        assert_eq!(
            body("web", &[&one], ""),
            json!({"text": "*weir: web: 1 firing*\n[warning] errors rise: web writes &lt;20&gt; errors &amp; more"})
        );
    }
}
