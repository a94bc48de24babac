//! Which pods stand behind a service name, an address or a node port. A pure table of what the controller told.
//!
//! Only ready endpoints are ever in it.

use super::ServiceRef;
use coracle_link::route::{Endpoint, ServicePort};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

/// All service ports, by their number in the list.
#[derive(Debug, Default)]
pub(crate) struct ServiceTable {
    ports: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    port: ServicePort,
    /// Of the next connection: round robin.
    turn: AtomicUsize,
}

/// A host name of a service, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServiceName<'a> {
    pub(crate) service: &'a str,
    pub(crate) namespace: &'a str,
}

/// `service`, `service.ns`, `service.ns.svc` or `service.ns.svc.cluster.local`, seen from `namespace`.
pub(crate) fn service_name<'a>(host: &'a str, namespace: &'a str) -> Option<ServiceName<'a>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = host
        .strip_suffix(".svc.cluster.local")
        .or_else(|| host.strip_suffix(".svc"))
        .unwrap_or(host);
    let mut labels = host.split('.');
    let service = labels.next().filter(|label| !label.is_empty())?;
    let namespace = labels.next().unwrap_or(namespace);
    labels
        .next()
        .is_none()
        .then_some(ServiceName { service, namespace })
}

impl ServiceTable {
    pub(crate) fn new(ports: Vec<ServicePort>) -> Self {
        let ports = ports
            .into_iter()
            .map(|port| Row {
                port,
                turn: AtomicUsize::new(0),
            })
            .collect();
        Self { ports }
    }

    /// The node ports, and whose they are.
    pub(crate) fn node_ports(&self) -> BTreeMap<u16, String> {
        let rows = self.ports.iter().filter(|row| row.port.node_port != 0);
        rows.map(|row| {
            let name = format!("{}/{}", row.port.namespace, row.port.service);
            (row.port.node_port, name)
        })
        .collect()
    }

    /// Whose node port it is.
    pub(crate) fn service_of(&self, node_port: u16) -> Option<ServiceRef> {
        let row = self
            .ports
            .iter()
            .find(|row| row.port.node_port == node_port)?;
        Some(ServiceRef {
            namespace: row.port.namespace.clone(),
            service: row.port.service.clone(),
            port: row.port.port,
        })
    }

    /// There is such a service (perhaps with no ready pod).
    pub(crate) fn has(&self, name: &ServiceName<'_>) -> bool {
        self.ports.iter().any(|row| row.is(name))
    }

    /// The endpoint whose turn it is, for a name and port.
    pub(crate) fn pick(&self, name: &ServiceName<'_>, port: u16, node: &str) -> Option<Endpoint> {
        self.ports
            .iter()
            .find(|row| row.is(name) && row.port.port == port)?
            .pick(node)
    }

    /// The endpoint whose turn it is, for a node port.
    pub(crate) fn pick_node_port(&self, node_port: u16, node: &str) -> Option<Endpoint> {
        self.ports
            .iter()
            .find(|row| row.port.node_port == node_port)?
            .pick_any(node)
    }

    /// A pod of this node behind a node port, if there is one.
    pub(crate) fn pick_own(&self, node_port: u16, node: &str) -> Option<Endpoint> {
        let row = self
            .ports
            .iter()
            .find(|row| row.port.node_port == node_port)?;
        row.pick(node).filter(|endpoint| endpoint.node == node)
    }
}

impl Row {
    fn is(&self, name: &ServiceName<'_>) -> bool {
        self.port.service == name.service && self.port.namespace == name.namespace
    }

    /// Pods of this node first: they cost no network.
    fn pick(&self, node: &str) -> Option<Endpoint> {
        let local: Vec<&Endpoint> = self
            .port
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.node == node)
            .collect();
        if local.is_empty() {
            return self.pick_any(node);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % local.len();
        Some(local[turn].clone())
    }

    fn pick_any(&self, _node: &str) -> Option<Endpoint> {
        let endpoints = &self.port.endpoints;
        let count = endpoints.len();
        (count > 0).then(|| endpoints[self.turn.fetch_add(1, Ordering::Relaxed) % count].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ServiceTable {
        let endpoint = |uid: &str, node: &str| Endpoint {
            pod_uid: uid.to_owned(),
            node: node.to_owned(),
            target_port: 8080,
        };
        let port = |service: &str, node_port, endpoints| ServicePort {
            namespace: "default".to_owned(),
            service: service.to_owned(),
            port_name: String::new(),
            port: 80,
            node_port,
            endpoints,
        };
        let pods = vec![
            endpoint("a", "n1"),
            endpoint("b", "n2"),
            endpoint("c", "n1"),
        ];
        ServiceTable::new(vec![port("web", 30080, pods), port("empty", 0, Vec::new())])
    }

    #[test]
    fn names() {
        let is = |host: &str, expect: Option<(&str, &str)>| {
            let name = service_name(host, "home").map(|name| (name.service, name.namespace));
            assert_eq!(name, expect, "{host}");
        };
        is("web", Some(("web", "home")));
        is("web.shop", Some(("web", "shop")));
        is("web.shop.svc", Some(("web", "shop")));
        is("web.shop.svc.cluster.local", Some(("web", "shop")));
        is("web.shop.svc.cluster.local.", Some(("web", "shop")));
        is("www.example.com", None);
        is("", None);
    }

    #[test]
    fn round_robin() {
        let table = table();
        let name = service_name("web", "default").unwrap();
        let turn = |node| table.pick(&name, 80, node).unwrap().pod_uid;
        assert_eq!([turn("n1"), turn("n1"), turn("n1")], ["a", "c", "a"]);
        assert_eq!(turn("n2"), "b");
        let turn = || table.pick_node_port(30080, "n1").unwrap().pod_uid;
        let mut seen = [turn(), turn(), turn()];
        seen.sort();
        assert_eq!(seen, ["a", "b", "c"]);
        assert_eq!(table.pick(&name, 81, "n1"), None);
        assert_eq!(table.pick_node_port(1, "n1"), None);
        let own = |node| Some(table.pick_own(30080, node)?.pod_uid);
        assert_eq!((own("n2").as_deref(), own("n3")), (Some("b"), None));
        let empty = service_name("empty.default", "x").unwrap();
        assert!(table.has(&empty));
        assert_eq!(table.pick(&empty, 80, "n1"), None);
        assert_eq!(
            table.node_ports().into_iter().collect::<Vec<_>>(),
            [(30080, "default/web".to_owned())]
        );
    }
}
