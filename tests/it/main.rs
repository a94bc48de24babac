//! End-to-end tests: the real binary and real clients.

mod churn;
mod clients;
mod devices;
mod durability;
mod fleet;
mod helm;
mod images;
mod kinds;
mod kube_rs;
mod kubectl;
mod kubectl_admission;
mod kubectl_apply;
mod kubectl_change;
mod kubectl_crd;
mod kubectl_create;
mod kubectl_drain;
mod kubectl_live;
mod kubectl_read;
mod kubectl_whole;
mod misbehave;
mod monitoring;
mod nodes;
mod readiness_gates;
mod rights;
mod up;
mod verbs;
