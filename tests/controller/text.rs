//! Slices, plans and writes as short lines that a table can hold. It reads objects and judges nothing.

use std::net::IpAddr;

use pointsman_tests::audit::Record;
use serde_json::Value;

/// A slice: family, ports, endpoints with their conditions by first letter and whom they are for, as in
/// `IPv4 web:8080/TCP | 1:rs>zone-a,node-1 2: 3:st`.
pub fn slice(slice: &Value) -> String {
    let ports: Vec<String> = list(&slice["ports"])
        .map(|port| format!("{}:{}/{}", text(&port["name"]), port["port"], text(&port["protocol"])))
        .collect();
    let endpoints: Vec<String> = list(&slice["endpoints"]).map(endpoint).collect();
    let line = format!("{} {} | {}", text(&slice["addressType"]), ports.join(" "), endpoints.join(" "));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn endpoint(endpoint: &Value) -> String {
    let conditions = ["ready", "serving", "terminating"];
    let letters: String = conditions
        .iter()
        .filter(|name| endpoint["conditions"][**name] == true)
        .filter_map(|name| name.chars().next())
        .collect();
    let hostname = endpoint["hostname"].as_str().map(|name| format!("@{name}")).unwrap_or_default();
    let hints = &endpoint["hints"];
    let names = list(&hints["forZones"]).chain(list(&hints["forNodes"])).map(|hint| text(&hint["name"]));
    format!("{}{hostname}:{letters}{}", number(text(&endpoint["addresses"][0])), whom(names))
}

/// Whom an endpoint is for.
fn whom<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { String::new() } else { format!(">{}", names.join(",")) }
}

/// What a plan leads to: a line a group, as in `web:8080 | 1 3t`.
pub fn plan(plan: &Value) -> Vec<String> {
    let group = |group: &Value| {
        let targets: Vec<String> = list(&group["targets"])
            .map(|target| format!("{}:{}", text(&target["name"]), target["port"]))
            .collect();
        let endpoints: Vec<String> = list(&group["endpoints"])
            .map(|endpoint| {
                let leaving = if endpoint["terminating"] == true { "t" } else { "" };
                let names = list(&endpoint["forZones"]).chain(list(&endpoint["forNodes"])).map(text);
                format!("{}{leaving}{}", number(text(&endpoint["ip"])), whom(names))
            })
            .collect();
        format!("{} | {}", targets.join(" "), endpoints.join(" "))
    };
    list(&plan["spec"]["groups"]).map(group).collect()
}

/// What was written where, as in `patch serviceproxyplans shop/web`, and the status if it was refused.
pub fn write(record: &Record) -> String {
    let sub = if record.subresource.is_empty() { String::new() } else { format!("/{}", record.subresource) };
    let place = if record.namespace.is_empty() { String::new() } else { format!("{}/", record.namespace) };
    let code = if record.code < 300 { String::new() } else { format!(" {}", record.code) };
    format!("{} {}{sub} {place}{}{code}", record.verb, record.resource, record.name)
}

/// The elements of a list; none if it is not there.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text; empty if it is not there.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The number of the pod that has this address, with `v6` if it is its second one; other addresses as they are.
fn number(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V4(v4)) if v4.octets()[..2] == [10, 1] => {
            u16::from_be_bytes([v4.octets()[2], v4.octets()[3]]).to_string()
        }
        Ok(IpAddr::V6(v6)) if v6.segments()[..2] == [0xfd00, 1] => format!("{}v6", v6.segments()[7]),
        Ok(_) | Err(_) => address.to_owned(),
    }
}
