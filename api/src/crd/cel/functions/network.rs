//! URLs, addresses and quantities.

use super::Called;
use crate::{
    crd::{
        cel::{
            Failure,
            val::{Key, Map, Val},
        },
        url::Url,
    },
    quantity::Quantity,
};
use std::{collections::BTreeMap, net::IpAddr, rc::Rc};

type Result<T> = std::result::Result<T, Failure>;

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Called<'a> {
    match args {
        [Val::Text(text)] => read(name, text),
        [Val::Url(url)] => url_part(name, url),
        [Val::Ip(address)] => address_part(name, *address).map(Ok),
        [Val::Cidr(address, bits)] => Some(Ok(match name {
            "ip" => Val::Ip(*address),
            "prefixLength" => Val::Int((*bits).into()),
            "masked" => Val::Cidr(mask(*address, *bits), *bits),
            _ => return None,
        })),
        [Val::Cidr(address, bits), other] => contains(name, (*address, *bits), other),
        _ => None,
    }
}

fn read<'a>(name: &str, text: &str) -> Called<'a> {
    let or = |value: Option<Val<'a>>, why: &str| {
        value.ok_or_else(|| Failure::other(format!("{why} {text:?}")))
    };
    Some(match name {
        "url" => or(
            Url::parse(text).map(|url| Val::Url(Rc::new(url))),
            "URL parse error during conversion from string:",
        ),
        "isURL" => Ok(Val::Bool(Url::parse(text).is_some())),
        "ip" => or(
            address(text).map(Val::Ip),
            "IP Address parse error during conversion from string:",
        ),
        "isIP" => Ok(Val::Bool(address(text).is_some())),
        "ip.isCanonical" => or(
            address(text).map(|address| Val::Bool(address.to_string() == text)),
            "IP Address parse error during conversion from string:",
        ),
        "cidr" => or(
            network(text).map(|(address, bits)| Val::Cidr(address, bits)),
            "network address parse error during conversion from string:",
        ),
        "isCIDR" => Ok(Val::Bool(network(text).is_some())),
        _ => return None,
    })
}

/// An address; IPv4 in IPv6 and zones are not allowed.
fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        other => Some(other),
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (text, bits) = text.split_once('/')?;
    let address = address(text)?;
    let digits =
        bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits = bits.parse::<u8>().ok().filter(|_| digits)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    (bits <= max).then_some((address, bits))
}

fn mask(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn contains<'a>(name: &str, (of, bits): (IpAddr, u8), other: &Val<'a>) -> Called<'a> {
    let bad = |text: &str| Failure::other(format!("network address parse error: {text:?}"));
    let (address, inner_bits) = match (name, other) {
        ("containsIP", Val::Ip(address)) => (*address, u8::MAX),
        ("containsIP", Val::Text(text)) => match address(text) {
            Some(address) => (address, u8::MAX),
            None => return Some(Err(bad(text))),
        },
        ("containsCIDR", Val::Cidr(address, bits)) => (*address, *bits),
        ("containsCIDR", Val::Text(text)) => match network(text) {
            Some(network) => network,
            None => return Some(Err(bad(text))),
        },
        _ => return None,
    };
    let same_family = of.is_ipv4() == address.is_ipv4();
    let within = inner_bits >= bits && same_family && mask(address, bits) == mask(of, bits);
    Some(Ok(Val::Bool(within)))
}

fn address_part<'a>(name: &str, address: IpAddr) -> Option<Val<'a>> {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let link_local_multicast = match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    Some(Val::Bool(match name {
        "family" => return Some(Val::Int(if address.is_ipv4() { 4 } else { 6 })),
        "isUnspecified" => address.is_unspecified(),
        "isLoopback" => address.is_loopback(),
        "isLinkLocalMulticast" => link_local_multicast,
        "isLinkLocalUnicast" => link_local,
        "isGlobalUnicast" => {
            !broadcast
                && !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && !link_local
        }
        _ => return None,
    }))
}

fn url_part<'a>(name: &str, url: &Url) -> Called<'a> {
    let part = match name {
        "getScheme" => &url.scheme,
        "getHost" => &url.host,
        "getHostname" => url.hostname(),
        "getPort" => url.port(),
        "getEscapedPath" => &url.path,
        "getQuery" => {
            let mut lists: BTreeMap<Key, Vec<Val<'a>>> = BTreeMap::new();
            for (name, value) in url.query_pairs() {
                let list = lists.entry(Key::Text(name.into())).or_default();
                list.push(Val::text(value));
            }
            let lists = lists
                .into_iter()
                .map(|(name, list)| (name, Val::list(list)));
            return Some(Ok(Val::Map(Map::Made(Rc::new(lists.collect())))));
        }
        _ => return None,
    };
    Some(Ok(Val::text(part)))
}

fn parsed(text: &str) -> Result<Quantity> {
    Quantity::parse(text).map_err(|error| Failure::other(error.to_string()))
}

/// `quantity` and what it has.
pub(super) fn quantity<'a>(name: &str, args: &[Val<'a>]) -> Called<'a> {
    let made = |milli: Option<i128>| {
        let made = milli.map(|milli| parsed(&format!("{milli}m")));
        let made = made.unwrap_or_else(|| Err(Failure::other("quantity overflow")));
        made.map(|quantity| Val::Quantity(Rc::new(quantity)))
    };
    Some(match (name, args) {
        ("quantity", [Val::Text(text)]) => parsed(text).map(|it| Val::Quantity(Rc::new(it))),
        ("isQuantity", [Val::Text(text)]) => Ok(Val::Bool(Quantity::parse(text).is_ok())),
        (name, [Val::Quantity(of)]) => return quantity_part(name, of.milli_value()),
        (name, [Val::Quantity(a), Val::Quantity(b)]) => {
            let (a, b) = (a.milli_value(), b.milli_value());
            match name {
                "isGreaterThan" => Ok(Val::Bool(a > b)),
                "isLessThan" => Ok(Val::Bool(a < b)),
                "compareTo" => Ok(Val::Int(i64::from(a > b) - i64::from(a < b))),
                "add" => made(a.checked_add(b)),
                "sub" => made(a.checked_sub(b)),
                _ => return None,
            }
        }
        (name, [Val::Quantity(a), Val::Int(b)]) => {
            let (a, b) = (a.milli_value(), i128::from(*b) * 1000);
            match name {
                "add" => made(a.checked_add(b)),
                "sub" => made(a.checked_sub(b)),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn quantity_part<'a>(name: &str, milli: i128) -> Called<'a> {
    let whole = i64::try_from(milli / 1000)
        .ok()
        .filter(|_| milli % 1000 == 0);
    Some(Ok(match name {
        "sign" => Val::Int(i64::from(milli > 0) - i64::from(milli < 0)),
        "isInteger" => Val::Bool(whole.is_some()),
        "asInteger" => match whole {
            Some(whole) => Val::Int(whole),
            None => return Some(Err(Failure::other("cannot convert value to integer"))),
        },
        "asApproximateFloat" => {
            Val::Double(milli.to_string().parse::<f64>().unwrap_or_default() / 1000.0)
        }
        _ => return None,
    }))
}
