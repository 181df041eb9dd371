//! Alertmanager's API v2 (`POST /api/v2/alerts`): it groups, silences and repeats by itself; it takes what is not said
//! again before `endsAt` for ended.

use serde_json::{Map, Value, json};

use super::Notice;

/// The body. Labels are what Prometheus' own rules use, so that one routing tree fits both.
pub(super) fn body(notices: &[Notice], link: &str) -> Value {
    let one = |notice: &Notice| {
        let mut labels = Map::new();
        labels.insert("alertname".into(), json!(notice.rule));
        labels.insert("severity".into(), json!(notice.level.name()));
        labels.insert("source".into(), json!("weir"));
        if let (Some(field), Some(group)) = (&notice.group_by, &notice.group) {
            labels.insert(label(field), json!(group));
        }
        let mut alert = json!({
            "labels": labels, "annotations": {"summary": notice.text, "value": notice.value.to_string()},
            "startsAt": notice.starts, "endsAt": notice.ends,
        });
        if !link.is_empty() {
            alert["generatorURL"] = json!(link);
        }
        alert
    };
    notices.iter().map(one).collect()
}

/// The label of a field: `service` and `node` for those that everybody knows, else its name in Prometheus' letters.
fn label(field: &str) -> String {
    match field {
        "service.name" => "service".to_owned(),
        "host.name" => "node".to_owned(),
        other => other.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::notice;
    use super::*;

    #[test]
    fn labels_are_prometheus_own() {
        let body =
            body(&[notice("service.name", "web", false), notice("labels.team-x", "a", true)], "http://logs:9200");
        assert_eq!(
            body[0]["labels"],
            json!({"alertname": "errors rise", "severity": "warning", "source": "weir", "service": "web"})
        );
        assert_eq!(body[1]["labels"]["labels_team_x"], "a");
        assert_eq!(body[0]["endsAt"], "2026-11-25T20:03:00.000Z");
        assert_eq!(body[0]["generatorURL"], "http://logs:9200");
    }
}
