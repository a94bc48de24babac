//! The services an agent forwards to.

/// A service port and the pods behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Of the service.
    pub namespace: String,
    /// Of the service.
    pub service: String,
    /// Of the port, or empty.
    pub port_name: String,
    /// The service's own port.
    pub port: u16,
    /// Port on every node, or 0.
    pub node_port: u16,
    /// Ready endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One ready pod behind a service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Of the pod.
    pub pod_uid: String,
    /// Where the pod runs.
    pub node: String,
    /// Port in the pod.
    pub target_port: u16,
}
