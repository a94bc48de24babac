//! The Service `default/kubernetes`, by which clients in the cluster find the API, its EndpointSlice and its
//! Endpoints.
//!
//! Source: k8s.io/kubernetes `pkg/controlplane/controller/kubernetesservice`. There is no slice while the API
//! listens on loopback or a link-local address only: nobody else could reach it. Of an API on all addresses, others reach
//! the one that the default route goes out from.

use crate::registry::{Context, DeleteOptions, Registry, Subresource};
use coracle_api::{Key, KindRef, StatusError, kind};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";
/// The first address of the range of Services, as upstream; the registry gives it to no other.
pub(crate) const ADDRESS: &str = "10.96.0.1";

/// Where others reach the API that listens here: of all addresses, the one that the default route goes out from, if any.
pub(crate) fn advertised(api: SocketAddr) -> SocketAddr {
    if !api.ip().is_unspecified() {
        return api;
    }
    // Addresses for documentation: a UDP socket sends nothing when it is connected.
    let (from, to): (IpAddr, IpAddr) = match api.ip() {
        IpAddr::V4(all) => (all.into(), Ipv4Addr::new(203, 0, 113, 1).into()),
        IpAddr::V6(all) => {
            let to = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            (all.into(), to.into())
        }
    };
    let asked = UdpSocket::bind((from, 0)).and_then(|socket| {
        socket.connect((to, 9))?;
        socket.local_addr()
    });
    asked.map_or(api, |own| SocketAddr::new(own.ip(), api.port()))
}

/// Writes them, where they differ from what they should be.
///
/// # Errors
/// When the registry refuses.
pub(crate) async fn announce(registry: &Registry, api: SocketAddr) -> Result<(), StatusError> {
    let ports =
        json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": api.port()}]);
    let service = json!({
        "metadata": {
            "name": NAME,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "sessionAffinity": "None",
            "clusterIP": ADDRESS, "clusterIPs": [ADDRESS],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "ports": ports,
        },
    });
    put(registry, kind::SERVICE, service, |service| {
        service["spec"]["ports"] = ports.clone();
    })
    .await?;
    if !is_reached(api.ip()) {
        let key = Key::new(NAMESPACE, NAME);
        let context = context();
        for of in [kind::ENDPOINT_SLICE, kind::ENDPOINTS] {
            let options = DeleteOptions::default();
            match registry.delete(&context, of, &key, options).await {
                Err(error) if error.code != 404 => return Err(error),
                _ => {}
            }
        }
        return Ok(());
    }
    let ports = json!([{"name": "https", "port": api.port(), "protocol": "TCP"}]);
    let endpoints = json!([{"addresses": [api.ip().to_string()], "conditions": {"ready": true}}]);
    let family = match api.ip() {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    };
    let slice = json!({
        "metadata": {
            "name": NAME,
            "labels": {"kubernetes.io/service-name": NAME},
        },
        "addressType": family, "ports": ports, "endpoints": endpoints,
    });
    put(registry, kind::ENDPOINT_SLICE, slice, |slice| {
        slice["ports"] = ports.clone();
        slice["endpoints"] = endpoints.clone();
    })
    .await?;
    let subsets = json!([{"addresses": [{"ip": api.ip().to_string()}], "ports": ports}]);
    let whole = json!({
        "metadata": {
            "name": NAME,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": subsets,
    });
    put(registry, kind::ENDPOINTS, whole, |whole| {
        whole["subsets"] = subsets.clone();
    })
    .await
}

/// Creates the object, or brings the one that is there in step.
async fn put(
    registry: &Registry,
    of: KindRef,
    object: Value,
    mut update: impl FnMut(&mut Value),
) -> Result<(), StatusError> {
    let (context, key) = (context(), Key::new(NAMESPACE, NAME));
    let changed = registry.modify(&context, of, &key, Subresource::None, |value| {
        update(value);
        Ok(())
    });
    match changed.await {
        Err(error) if error.code == 404 => {
            let created = registry.create(&context, of, NAMESPACE, object);
            created.await.map(|_object| ())
        }
        other => other.map(|_object| ()),
    }
}

fn context() -> Context {
    Context::system("apiserver")
}

/// Whether others reach an address; nothing else may be an endpoint.
fn is_reached(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(is_link_local || address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;
    use coracle_daemon::{Clock, Tasks};
    use std::sync::Arc;

    #[tokio::test]
    async fn the_service_follows_the_address_of_the_api() {
        let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let store = Arc::new(Embedded::open(dir.path()).unwrap());
        let registry = Registry::open(store, Clock::system(), &tasks).unwrap();
        registry.bootstrap().await.unwrap();
        let key = Key::new(NAMESPACE, NAME);
        let get = |of| registry.cache().get(of, &key).map(|object| object.value());

        let link_local = "169.254.9.9:6443".parse().unwrap();
        announce(&registry, link_local).await.unwrap();
        assert!(get(kind::ENDPOINT_SLICE).is_none() && get(kind::ENDPOINTS).is_none());
        let local = "127.0.0.1:6443".parse().unwrap();
        assert_eq!(advertised(local), local);
        let own = advertised("0.0.0.0:6443".parse().unwrap());
        assert_eq!(own.port(), 6443);
        announce(&registry, local).await.unwrap();
        let service = get(kind::SERVICE).unwrap();
        assert_eq!(service["spec"]["clusterIP"], ADDRESS);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 6443);
        assert!(get(kind::ENDPOINT_SLICE).is_none());

        announce(&registry, "192.0.2.7:7443".parse().unwrap())
            .await
            .unwrap();
        let slice = get(kind::ENDPOINT_SLICE).unwrap();
        assert_eq!(slice["endpoints"][0]["addresses"][0], "192.0.2.7");
        let whole = get(kind::ENDPOINTS).unwrap();
        assert_eq!(whole["subsets"][0]["addresses"][0]["ip"], "192.0.2.7");
        assert_eq!(
            get(kind::SERVICE).unwrap()["spec"]["ports"][0]["targetPort"],
            7443
        );

        let before = registry.cache().revision();
        announce(&registry, "192.0.2.7:7443".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            registry.cache().revision(),
            before,
            "nothing new is no write"
        );

        announce(&registry, local).await.unwrap();
        assert!(get(kind::ENDPOINT_SLICE).is_none() && get(kind::ENDPOINTS).is_none());

        // Its address is nobody else's, also while it is gone.
        let (context, options) = (context(), DeleteOptions::default());
        let deleted = registry.delete(&context, kind::SERVICE, &key, options);
        deleted.await.unwrap();
        let thief = json!({"metadata": {"name": "thief"},
                           "spec": {"clusterIP": ADDRESS, "ports": [{"port": 1}]}});
        let stolen = registry.create(&context, kind::SERVICE, NAMESPACE, thief);
        assert_eq!(stolen.await.unwrap_err().code, 422);
        announce(&registry, local).await.unwrap();
        assert!(get(kind::SERVICE).is_some());
        tasks.stop().cancel();
    }
}
