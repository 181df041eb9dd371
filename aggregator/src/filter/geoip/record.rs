//! What MaxMind's files say of an address, and what that is called in events.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::event::{Object, Text, Value};

/// One record. Each kind of file has some of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Record<'a> {
    #[serde(borrow)]
    city: Named<'a>,
    #[serde(borrow)]
    continent: Named<'a>,
    #[serde(borrow)]
    country: Named<'a>,
    #[serde(borrow)]
    subdivisions: Vec<Named<'a>>,
    #[serde(borrow)]
    location: Location<'a>,
    #[serde(borrow)]
    postal: Named<'a>,
    autonomous_system_number: Option<Number>,
    autonomous_system_organization: Option<&'a str>,
    isp: Option<&'a str>,
    organization: Option<&'a str>,
    domain: Option<&'a str>,
    connection_type: Option<&'a str>,
}

/// A place.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    code: Option<&'a str>,
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    names: Names<'a>,
}

/// Its names; the English one is what Logstash takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    latitude: Option<Number>,
    longitude: Option<Number>,
    metro_code: Option<Number>,
    time_zone: Option<&'a str>,
}

/// A number of any width: MaxMind's files have some, those of others have other ones.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }
}

impl Number {
    /// As a whole one; those here are below 2^32.
    fn whole(self) -> Value {
        Value::Int(self.0 as i64)
    }
}

/// One thing that can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the option `fields`.
    pub option: &'static str,
    /// The field without the Elastic Common Schema.
    pub legacy: &'static str,
    /// The field in the Elastic Common Schema; empty where that has none.
    pub ecs: &'static [&'static str],
    /// Its value.
    pub get: fn(&Record<'_>) -> Option<Value>,
}

fn text(text: Option<&str>) -> Option<Value> {
    text.map(|text| Value::Text(text.into()))
}

fn region<'r>(record: &'r Record<'_>) -> Option<&'r Named<'r>> {
    // The first is the largest, such as a state.
    record.subdivisions.first()
}

/// All of them, with the names of Logstash's filter.
pub const FIELDS: [Field; 22] = [
    Field {
        option: "autonomous_system_number",
        legacy: "asn",
        ecs: &["as", "number"],
        get: |record| record.autonomous_system_number.map(Number::whole),
    },
    Field {
        option: "autonomous_system_organization",
        legacy: "as_org",
        ecs: &["as", "organization", "name"],
        get: |record| text(record.autonomous_system_organization),
    },
    Field {
        option: "city_name",
        legacy: "city_name",
        ecs: &["geo", "city_name"],
        get: |record| text(record.city.names.en),
    },
    Field {
        option: "country_name",
        legacy: "country_name",
        ecs: &["geo", "country_name"],
        get: |record| text(record.country.names.en),
    },
    Field {
        option: "continent_code",
        legacy: "continent_code",
        ecs: &["geo", "continent_code"],
        get: |record| text(record.continent.code),
    },
    Field {
        option: "continent_name",
        legacy: "continent_name",
        ecs: &["geo", "continent_name"],
        get: |record| text(record.continent.names.en),
    },
    Field {
        option: "country_code2",
        legacy: "country_code2",
        ecs: &["geo", "country_iso_code"],
        get: |record| text(record.country.iso_code),
    },
    // The files have held no codes of three letters for years; Logstash writes the short one here, too.
    Field { option: "country_code3", legacy: "country_code3", ecs: &[], get: |record| text(record.country.iso_code) },
    Field { option: "domain", legacy: "domain", ecs: &["domain"], get: |record| text(record.domain) },
    // Filled in by the filter: the address as it stands in the event.
    Field { option: "ip", legacy: "ip", ecs: &["ip"], get: |_| None },
    Field { option: "isp", legacy: "isp", ecs: &["mmdb", "isp"], get: |record| text(record.isp) },
    Field {
        option: "postal_code",
        legacy: "postal_code",
        ecs: &["geo", "postal_code"],
        get: |record| text(record.postal.code),
    },
    Field {
        option: "dma_code",
        legacy: "dma_code",
        ecs: &["mmdb", "dma_code"],
        get: |record| record.location.metro_code.map(Number::whole),
    },
    Field {
        option: "region_name",
        legacy: "region_name",
        ecs: &["geo", "region_name"],
        get: |record| text(region(record)?.names.en),
    },
    Field {
        option: "region_code",
        legacy: "region_code",
        ecs: &["geo", "region_code"],
        get: |record| text(region(record)?.iso_code),
    },
    Field {
        option: "region_iso_code",
        legacy: "region_iso_code",
        ecs: &["geo", "region_iso_code"],
        get: |record| {
            let (country, region) = (record.country.iso_code?, region(record)?.iso_code?);
            Some(Value::Text(format!("{country}-{region}").into()))
        },
    },
    Field {
        option: "timezone",
        legacy: "timezone",
        ecs: &["geo", "timezone"],
        get: |record| text(record.location.time_zone),
    },
    Field {
        option: "location",
        legacy: "location",
        ecs: &["geo", "location"],
        get: |record| {
            let (latitude, longitude) = (record.location.latitude?, record.location.longitude?);
            let mut point = Object::new();
            point.insert(Text::from_static("lat"), Value::Float(latitude.0));
            point.insert(Text::from_static("lon"), Value::Float(longitude.0));
            Some(Value::Object(point))
        },
    },
    Field {
        option: "latitude",
        legacy: "latitude",
        ecs: &["geo", "location", "lat"],
        get: |record| record.location.latitude.map(|latitude| Value::Float(latitude.0)),
    },
    Field {
        option: "longitude",
        legacy: "longitude",
        ecs: &["geo", "location", "lon"],
        get: |record| record.location.longitude.map(|longitude| Value::Float(longitude.0)),
    },
    Field {
        option: "organization",
        legacy: "organization",
        ecs: &["mmdb", "organization"],
        get: |record| text(record.organization),
    },
    Field {
        option: "connection_type",
        legacy: "connection_type",
        ecs: &["mmdb", "connection_type"],
        get: |record| text(record.connection_type),
    },
];

/// What is looked for when `fields` does not say: all that a file of this type has.
pub fn defaults(database_type: &str, ecs: bool) -> &'static [&'static str] {
    const CITY: &[&str] = &[
        "ip",
        "city_name",
        "continent_code",
        "country_name",
        "country_code2",
        "country_code3",
        "postal_code",
        "dma_code",
        "region_name",
        "region_code",
        "timezone",
        "location",
        "latitude",
        "longitude",
    ];
    const CITY_ECS: &[&str] = &[
        "ip",
        "city_name",
        "continent_code",
        "country_name",
        "country_code2",
        "postal_code",
        "dma_code",
        "region_name",
        "region_iso_code",
        "timezone",
        "location",
    ];
    const ISP: &[&str] = &["ip", "autonomous_system_number", "autonomous_system_organization", "isp", "organization"];
    match database_type {
        kind if kind.contains("Country") => &["ip", "country_code2", "country_name", "continent_name"],
        kind if kind.contains("ASN") => &["ip", "autonomous_system_number", "autonomous_system_organization"],
        kind if kind.contains("ISP") => ISP,
        kind if kind.contains("Domain") => &["domain"],
        _ if ecs => CITY_ECS,
        _ => CITY,
    }
}
