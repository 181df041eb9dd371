//! `geoip` on a database made here: two networks, written after MaxMind's description of the format (version 2.0).

use std::path::Path;

use serde_json::json;

use crate::filter::testing::{mistakes, run};

/// Control byte of a type from the description; sizes here stay below 29.
fn control(kind: u8, size: usize) -> Vec<u8> {
    let size = u8::try_from(size).unwrap();
    assert!(size < 29);
    if kind < 8 { vec![kind << 5 | size] } else { vec![size, kind - 7] }
}

fn encode(value: &serde_json::Value) -> Vec<u8> {
    use serde_json::Value::{Array, Number, Object, String};
    match value {
        Object(map) => {
            let entries = map.iter().flat_map(|(name, value)| {
                // The widths of numbers are part of the format.
                let value = match (name.as_str(), value.as_u64()) {
                    ("build_epoch", Some(number)) => [control(9, 8), number.to_be_bytes().to_vec()].concat(),
                    ("node_count" | "autonomous_system_number", _) | (_, None) => encode(value),
                    (_, Some(number)) => [control(5, 2), number.to_be_bytes()[6..].to_vec()].concat(),
                };
                [encode(&json!(name)), value].concat()
            });
            control(7, map.len()).into_iter().chain(entries).collect()
        }
        Array(items) => control(11, items.len()).into_iter().chain(items.iter().flat_map(encode)).collect(),
        String(text) if text.len() < 29 => [control(2, text.len()), text.as_bytes().to_vec()].concat(),
        String(text) => [vec![2 << 5 | 29, u8::try_from(text.len() - 29).unwrap()], text.as_bytes().to_vec()].concat(),
        Number(number) if number.is_f64() => [control(3, 8), number.as_f64().unwrap().to_be_bytes().to_vec()].concat(),
        // Unsigned, 32 bits wide.
        Number(number) => {
            [control(6, 4), u32::try_from(number.as_u64().unwrap()).unwrap().to_be_bytes().to_vec()].concat()
        }
        other => panic!("{other} is not needed here"),
    }
}

/// A file in which `networks` (first bits of an IPv4 address, in text) have these records.
fn write(path: &Path, kind: &str, networks: &[(&str, serde_json::Value)]) {
    let mut nodes: Vec<[usize; 2]> = vec![[0, 0]];
    // 0 stands for nothing; a leaf is `LEAF` plus its record's place in the data section.
    const LEAF: usize = 1 << 20;
    let mut data = Vec::new();
    for (bits, record) in networks {
        let mut at = 0;
        for (depth, bit) in bits.bytes().map(|bit| usize::from(bit == b'1')).enumerate() {
            if depth + 1 == bits.len() {
                nodes[at][bit] = LEAF + data.len();
            } else {
                if nodes[at][bit] == 0 {
                    nodes.push([0, 0]);
                    nodes[at][bit] = nodes.len() - 1;
                }
                at = nodes[at][bit];
            }
        }
        data.extend(encode(record));
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for value in nodes.iter().flatten() {
        let pointer = match *value {
            0 => count,
            leaf if leaf >= LEAF => count + 16 + leaf - LEAF,
            node => node,
        };
        file.extend_from_slice(&u32::try_from(pointer).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(encode(&json!({
        "node_count": count, "record_size": 24, "ip_version": 4, "database_type": kind,
        "languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000, "description": { "en": "made by a test" },
    })));
    std::fs::write(path, file).unwrap();
}

/// The first `count` bits of an address.
fn bits(address: &str, count: usize) -> String {
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    format!("{:032b}", address.to_bits())[..count].to_owned()
}

#[test]
fn an_address_of_a_city() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    let record = json!({
        "city": { "names": { "en": "Boxford", "de": "Buchsfurt" } },
        "continent": { "code": "EU", "names": { "en": "Europe" } },
        "country": { "iso_code": "GB", "names": { "en": "United Kingdom" } },
        "subdivisions": [{ "iso_code": "ENG", "names": { "en": "England" } }],
        "location": { "latitude": 51.75, "longitude": -1.25, "time_zone": "Europe/London", "metro_code": 7 },
        "postal": { "code": "OX1" },
    });
    write(&path, "GeoLite2-City", &[(&bits("192.0.2.0", 24), record)]);
    let place = json!({
        "city_name": "Boxford", "continent_code": "EU", "country_name": "United Kingdom", "country_iso_code": "GB",
        "region_name": "England", "region_iso_code": "GB-ENG", "postal_code": "OX1", "timezone": "Europe/London",
        "location": { "lat": 51.75, "lon": -1.25 },
    });
    let filter = |options: &str| format!("geoip {{ database => \"{}\" {options} }}", path.display());
    let event = run(&filter("source => \"[client][ip]\" add_tag => ok"), json!({ "client": { "ip": "192.0.2.7" } }));
    assert_eq!(event["client"], json!({ "ip": "192.0.2.7", "geo": place, "mmdb": { "dma_code": 7 } }));
    assert_eq!(event["tags"], json!(["ok"]));
    let event = run(&filter("source => ip target => source"), json!({ "ip": ["192.0.2.9", "1.1.1.1"] }));
    assert_eq!(event["source"]["ip"], "192.0.2.9");
    let legacy = filter("source => ip ecs_compatibility => disabled fields => [\"city_name\", \"LOCATION\"]");
    let event = run(&legacy, json!({ "ip": "192.0.2.7" }));
    assert_eq!(event["geoip"], json!({ "city_name": "Boxford", "location": { "lat": 51.75, "lon": -1.25 } }));
    for unknown in ["198.51.100.1", "::1", "nobody"] {
        let event = run(&filter("source => ip target => x add_tag => ok"), json!({ "ip": unknown }));
        assert_eq!(event["tags"], json!(["_geoip_lookup_failure"]), "{unknown}");
        assert_eq!(event.get("x"), None);
    }
}

#[test]
fn a_network_of_a_provider() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asn.mmdb");
    let record = json!({
        "autonomous_system_number": 64_500, "autonomous_system_organization": "Example Networks of Documentation Ltd",
    });
    write(&path, "GeoLite2-ASN", &[(&bits("203.0.113.0", 24), record), (&bits("10.0.0.0", 8), json!({}))]);
    let filter = format!("geoip {{ database => \"{}\" source => \"[source][ip]\" }}", path.display());
    let event = run(&filter, json!({ "source": { "ip": "203.0.113.200" } }));
    let organization = json!({ "name": "Example Networks of Documentation Ltd" });
    assert_eq!(event["source"]["as"], json!({ "number": 64_500, "organization": organization }));
}

#[test]
fn mistakes_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    write(&path, "GeoLite2-City", &[("1", json!({}))]);
    let told = mistakes("geoip { source => \"[a][ip]\" }");
    assert!(told[0].contains("needs the option `database`") && told[0].contains("weir downloads none"), "{told:?}");
    assert!(mistakes("geoip { source => \"[a][ip]\" database => \"/nowhere.mmdb\" }")[0].contains("/nowhere.mmdb"));
    let told = mistakes(&format!("geoip {{ source => ip database => \"{}\" }}", path.display()));
    assert!(told[0].contains("needs the option `target`"), "{told:?}");
    let told =
        mistakes(&format!("geoip {{ source => ip target => x fields => [town] database => \"{}\" }}", path.display()));
    assert!(told[0].contains("knows no field `town`"), "{told:?}");
    std::fs::write(&path, "no database").unwrap();
    let told = mistakes(&format!("geoip {{ source => ip target => x database => \"{}\" }}", path.display()));
    assert!(told[0].contains("cannot use the database"), "{told:?}");
}
