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

/// One that is called the same in the option and without the Elastic Common Schema.
const fn field(option: &'static str, ecs: &'static [&'static str], get: fn(&Record<'_>) -> Option<Value>) -> Field {
    Field { option, legacy: option, ecs, get }
}

/// All of them, with the names of Logstash's filter.
pub const FIELDS: [Field; 22] = [
    Field {
        legacy: "asn",
        ..field("autonomous_system_number", &["as", "number"], |record| {
            record.autonomous_system_number.map(Number::whole)
        })
    },
    Field {
        legacy: "as_org",
        ..field("autonomous_system_organization", &["as", "organization", "name"], |record| {
            text(record.autonomous_system_organization)
        })
    },
    field("city_name", &["geo", "city_name"], |record| text(record.city.names.en)),
    field("country_name", &["geo", "country_name"], |record| text(record.country.names.en)),
    field("continent_code", &["geo", "continent_code"], |record| text(record.continent.code)),
    field("continent_name", &["geo", "continent_name"], |record| text(record.continent.names.en)),
    field("country_code2", &["geo", "country_iso_code"], |record| text(record.country.iso_code)),
    // The files have held no codes of three letters for years; Logstash writes the short one here, too.
    field("country_code3", &[], |record| text(record.country.iso_code)),
    field("domain", &["domain"], |record| text(record.domain)),
    // Filled in by the filter: the address as it stands in the event.
    field("ip", &["ip"], |_| None),
    field("isp", &["mmdb", "isp"], |record| text(record.isp)),
    field("postal_code", &["geo", "postal_code"], |record| text(record.postal.code)),
    field("dma_code", &["mmdb", "dma_code"], |record| record.location.metro_code.map(Number::whole)),
    field("region_name", &["geo", "region_name"], |record| text(region(record)?.names.en)),
    field("region_code", &["geo", "region_code"], |record| text(region(record)?.iso_code)),
    field("region_iso_code", &["geo", "region_iso_code"], |record| {
        let (country, region) = (record.country.iso_code?, region(record)?.iso_code?);
        Some(Value::Text(format!("{country}-{region}").into()))
    }),
    field("timezone", &["geo", "timezone"], |record| text(record.location.time_zone)),
    field("location", &["geo", "location"], |record| {
        let (latitude, longitude) = (record.location.latitude?, record.location.longitude?);
        let mut point = Object::new();
        point.insert(Text::from_static("lat"), Value::Float(latitude.0));
        point.insert(Text::from_static("lon"), Value::Float(longitude.0));
        Some(Value::Object(point))
    }),
    field("latitude", &["geo", "location", "lat"], |record| {
        record.location.latitude.map(|latitude| Value::Float(latitude.0))
    }),
    field("longitude", &["geo", "location", "lon"], |record| {
        record.location.longitude.map(|longitude| Value::Float(longitude.0))
    }),
    field("organization", &["mmdb", "organization"], |record| text(record.organization)),
    field("connection_type", &["mmdb", "connection_type"], |record| text(record.connection_type)),
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
