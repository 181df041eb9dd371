//! `cidr`: whether an address lies in one of some networks.

use std::net::IpAddr;

use super::{Filter, Outcome, Scratch};
use crate::event::Event;
use crate::pipeline::options::Options;
use crate::pipeline::template::Template;

#[derive(Debug)]
struct Cidr {
    addresses: Vec<Template>,
    networks: Vec<Network>,
}

#[derive(Debug)]
enum Network {
    Fixed(IpAddr, u32),
    Changing(Template),
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let addresses = options.list("address").iter().map(|(text, _)| Template::parse(text)).collect();
    let mut list = options.list("network");
    let separator = options.text("separator").map_or_else(|| "\n".to_owned(), |(text, _)| text);
    options.whole("refresh_interval");
    if let Some((path, span)) = options.text("network_path") {
        if !list.is_empty() {
            options.error(&span, "`network` and `network_path` exclude each other", "put all networks into the file");
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => list.extend(
                text.split(&separator)
                    .map(|line| (line.trim().to_owned(), span.clone()))
                    .filter(|(line, _)| !line.is_empty()),
            ),
            Err(error) => options.error(&span, format!("cannot read {path}: {error}"), ""),
        }
    }
    let mut networks = Vec::new();
    for (text, span) in list {
        let template = Template::parse(&text);
        if template.fixed().is_none() {
            networks.push(Network::Changing(template));
        } else if let Some((address, bits)) = network(&text) {
            networks.push(Network::Fixed(address, bits));
        } else {
            options.error(&span, format!("`{text}` is no network"), "write it as `10.0.0.0/8` or `fd00::/8`");
        }
    }
    Some(Box::new(Cidr { addresses, networks }))
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) =
        text.trim().split_once('/').map_or((text.trim(), None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some((address, bits))
}

fn contains((network, bits): (IpAddr, u32), address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            bits == 0 || (network.to_bits() ^ address.to_bits()) >> (32 - bits) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            bits == 0 || (network.to_bits() ^ address.to_bits()) >> (128 - bits) == 0
        }
        _ => false,
    }
}

impl Filter for Cidr {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let addresses: Vec<IpAddr> =
            self.addresses.iter().filter_map(|template| template.render(event).trim().parse().ok()).collect();
        let inside = self.networks.iter().any(|wanted| {
            let wanted = match wanted {
                Network::Fixed(address, bits) => Some((*address, *bits)),
                Network::Changing(template) => network(&template.render(event)),
            };
            wanted.is_some_and(|wanted| addresses.iter().any(|address| contains(wanted, *address)))
        });
        if inside { Outcome::Matched } else { Outcome::Unmatched }
    }
}
