//! The built-in kinds.

use super::BuiltIn;
use crate::names;

const NO: BuiltIn = BuiltIn {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    short: &[],
    namespaced: true,
    status: false,
    definition: "",
    name_rule: names::subdomain,
    fields: &[],
    create_on_update: false,
    unconditional: true,
    returns_deleted: false,
    generations: false,
    review: false,
    all: false,
};

const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const NEWER_EVENT_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

/// One line for each.
pub(crate) static BUILT_IN: [BuiltIn; 31] = [
    BuiltIn {
        kind: "Namespace",
        plural: "namespaces",
        short: &["ns"],
        namespaced: false,
        status: true,
        definition: "io.k8s.api.core.v1.Namespace",
        name_rule: names::label,
        fields: &["status.phase", "name"],
        returns_deleted: true,
        ..NO
    },
    BuiltIn {
        kind: "Pod",
        plural: "pods",
        short: &["po"],
        status: true,
        definition: "io.k8s.api.core.v1.Pod",
        fields: POD_FIELDS,
        returns_deleted: true,
        generations: true,
        all: true,
        ..NO
    },
    BuiltIn {
        kind: "Service",
        plural: "services",
        short: &["svc"],
        status: true,
        definition: "io.k8s.api.core.v1.Service",
        name_rule: names::label,
        fields: &["spec.clusterIP", "spec.type"],
        create_on_update: true,
        returns_deleted: true,
        all: true,
        ..NO
    },
    BuiltIn {
        kind: "Endpoints",
        plural: "endpoints",
        short: &["ep"],
        definition: "io.k8s.api.core.v1.Endpoints",
        create_on_update: true,
        ..NO
    },
    BuiltIn {
        kind: "Node",
        plural: "nodes",
        short: &["no"],
        namespaced: false,
        status: true,
        definition: "io.k8s.api.core.v1.Node",
        fields: &["spec.unschedulable"],
        ..NO
    },
    BuiltIn {
        kind: "ConfigMap",
        plural: "configmaps",
        short: &["cm"],
        definition: "io.k8s.api.core.v1.ConfigMap",
        ..NO
    },
    BuiltIn {
        kind: "Secret",
        plural: "secrets",
        definition: "io.k8s.api.core.v1.Secret",
        fields: &["type"],
        ..NO
    },
    BuiltIn {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        short: &["sa"],
        definition: "io.k8s.api.core.v1.ServiceAccount",
        returns_deleted: true,
        ..NO
    },
    BuiltIn {
        kind: "Event",
        plural: "events",
        short: &["ev"],
        definition: "io.k8s.api.core.v1.Event",
        fields: EVENT_FIELDS,
        create_on_update: true,
        ..NO
    },
    BuiltIn {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        short: &["ev"],
        definition: "io.k8s.api.events.v1.Event",
        fields: NEWER_EVENT_FIELDS,
        create_on_update: true,
        ..NO
    },
    BuiltIn {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        definition: "io.k8s.api.discovery.v1.EndpointSlice",
        generations: true,
        ..NO
    },
    BuiltIn {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        definition: "io.k8s.api.coordination.v1.Lease",
        create_on_update: true,
        unconditional: false,
        ..NO
    },
    BuiltIn {
        group: "apps",
        kind: "Deployment",
        plural: "deployments",
        short: &["deploy"],
        status: true,
        definition: "io.k8s.api.apps.v1.Deployment",
        generations: true,
        all: true,
        ..NO
    },
    BuiltIn {
        group: "apps",
        kind: "ReplicaSet",
        plural: "replicasets",
        short: &["rs"],
        status: true,
        definition: "io.k8s.api.apps.v1.ReplicaSet",
        fields: &["status.replicas"],
        generations: true,
        all: true,
        ..NO
    },
    BuiltIn {
        group: "apps",
        kind: "StatefulSet",
        plural: "statefulsets",
        short: &["sts"],
        status: true,
        definition: "io.k8s.api.apps.v1.StatefulSet",
        generations: true,
        all: true,
        ..NO
    },
    BuiltIn {
        group: "apps",
        kind: "DaemonSet",
        plural: "daemonsets",
        short: &["ds"],
        status: true,
        definition: "io.k8s.api.apps.v1.DaemonSet",
        generations: true,
        all: true,
        ..NO
    },
    BuiltIn {
        group: "batch",
        kind: "Job",
        plural: "jobs",
        status: true,
        definition: "io.k8s.api.batch.v1.Job",
        fields: &["status.successful"],
        generations: true,
        all: true,
        ..NO
    },
    BuiltIn {
        group: "batch",
        kind: "CronJob",
        plural: "cronjobs",
        short: &["cj"],
        status: true,
        definition: "io.k8s.api.batch.v1.CronJob",
        generations: true,
        all: true,
        ..NO
    },
    BuiltIn {
        group: "rbac.authorization.k8s.io",
        kind: "Role",
        plural: "roles",
        definition: "io.k8s.api.rbac.v1.Role",
        name_rule: names::path_segment,
        create_on_update: true,
        ..NO
    },
    BuiltIn {
        group: "rbac.authorization.k8s.io",
        kind: "RoleBinding",
        plural: "rolebindings",
        definition: "io.k8s.api.rbac.v1.RoleBinding",
        name_rule: names::path_segment,
        create_on_update: true,
        ..NO
    },
    BuiltIn {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        plural: "clusterroles",
        namespaced: false,
        definition: "io.k8s.api.rbac.v1.ClusterRole",
        name_rule: names::path_segment,
        create_on_update: true,
        ..NO
    },
    BuiltIn {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        namespaced: false,
        definition: "io.k8s.api.rbac.v1.ClusterRoleBinding",
        name_rule: names::path_segment,
        create_on_update: true,
        ..NO
    },
    BuiltIn {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        short: &["crd", "crds"],
        namespaced: false,
        status: true,
        definition: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        unconditional: false,
        generations: true,
        ..NO
    },
    BuiltIn {
        group: "authorization.k8s.io",
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        namespaced: false,
        definition: "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        review: true,
        ..NO
    },
    BuiltIn {
        group: "authorization.k8s.io",
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        namespaced: false,
        definition: "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
        review: true,
        ..NO
    },
    BuiltIn {
        group: "authorization.k8s.io",
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
        namespaced: false,
        definition: "io.k8s.api.authorization.v1.SubjectAccessReview",
        review: true,
        ..NO
    },
    BuiltIn {
        group: "authorization.k8s.io",
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        definition: "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
        review: true,
        ..NO
    },
    BuiltIn {
        group: "authentication.k8s.io",
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        namespaced: false,
        definition: "io.k8s.api.authentication.v1.SelfSubjectReview",
        review: true,
        ..NO
    },
    BuiltIn {
        group: "authentication.k8s.io",
        kind: "TokenReview",
        plural: "tokenreviews",
        namespaced: false,
        definition: "io.k8s.api.authentication.v1.TokenReview",
        review: true,
        ..NO
    },
    BuiltIn {
        group: "policy",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        short: &["pdb"],
        status: true,
        definition: "io.k8s.api.policy.v1.PodDisruptionBudget",
        generations: true,
        ..NO
    },
    BuiltIn {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        short: &["netpol"],
        definition: "io.k8s.api.networking.v1.NetworkPolicy",
        generations: true,
        ..NO
    },
];
