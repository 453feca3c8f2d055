//! Custom kinds: their definitions, what they let in, how they end.

use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::kit::{self, double};

/// A kind with a bit of everything.
const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rules.test.example}
spec:
  group: test.example
  names: {plural: rules, kind: Rule, shortNames: [ru]}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Where, type: string, jsonPath: .spec.where}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [where]
            properties:
              where: {type: string, pattern: '^[a-z]+$'}
              share: {type: number, minimum: 0, maximum: 1}
              order: {type: integer, default: 0}
              tags:
                type: array
                maxItems: 2
                x-kubernetes-list-type: set
                items: {type: string}
              to:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties:
                    name: {type: string}
                    weight: {type: integer}
            x-kubernetes-validations:
            - {rule: self.where != 'nowhere', message: must be somewhere}
          status:
            type: object
            properties:
              state: {type: string}
";

fn definition() -> Value {
    serde_saphyr::from_str(DEFINITION).unwrap()
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("test.example", "v1", "Rule"))
}

fn rules(client: Client) -> Api<DynamicObject> {
    Api::namespaced_with(client, "default", &resource())
}

fn rule(name: &str, spec: Value) -> DynamicObject {
    DynamicObject::new(name, &resource()).data(json!({"spec": spec}))
}

#[tokio::test]
async fn a_definition_makes_its_kind_served_and_takes_it_away_again() {
    let (_api, client) = double().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let rules = rules(client);
    let new = rule("a", json!({"where": "here"}));
    let early = rules.create(&PostParams::default(), &new).await;
    assert_eq!(kit::refusal(early).code, 404);

    let definition = serde_json::from_value(definition()).unwrap();
    definitions
        .create(&PostParams::default(), &definition)
        .await
        .unwrap();
    let name = "rules.test.example";
    let established = await_condition(definitions.clone(), name, is_crd_established());
    tokio::time::timeout(Duration::from_secs(30), established)
        .await
        .unwrap()
        .unwrap();
    let made = rules.create(&PostParams::default(), &new).await.unwrap();
    assert_eq!(made.data["spec"]["order"], 0);

    let at = made.metadata.resource_version.unwrap();
    let mut events = rules
        .watch(&WatchParams::default(), &at)
        .await
        .unwrap()
        .boxed();
    definitions
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Deleted(_)), "{event:?}");
    assert!(events.next().await.is_none());
    assert_eq!(kit::refusal(rules.get("a").await).code, 404);
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_refused_with_its_path() {
    let (api, client) = double().await;
    api.put(definition());
    let rules = rules(client);
    for (spec, wanted) in [
        (json!({}), "spec.where: Required value"),
        (
            json!({"where": "A"}),
            "spec.where: Invalid value: \"A\": spec.where in body should match '^[a-z]+$'",
        ),
        (
            json!({"where": "a", "share": 7}),
            "spec.share: Invalid value: 7: spec.share in body should be less than or equal to 1",
        ),
        (
            json!({"where": 1}),
            "spec.where: Invalid value: \"integer\": spec.where in body must be of type string: \
             \"integer\"",
        ),
        (
            json!({"where": "a", "tags": ["x", "x"]}),
            "spec.tags[1]: Duplicate value: \"x\"",
        ),
        (
            json!({"where": "a", "to": [{"name": "x"}, {"name": "x"}]}),
            "spec.to[1]: Duplicate value: {\"name\":\"x\"}",
        ),
        (
            json!({"where": "nowhere"}),
            "spec: Invalid value: must be somewhere",
        ),
    ] {
        let refused = rules.create(&PostParams::default(), &rule("a", spec)).await;
        let status = kit::refusal(refused);
        assert_eq!(status.reason, "Invalid");
        let message = status.message.replace('[', "").replace(
            ", <nil>: Invalid value: null: some validation rules were not checked because the \
             object was invalid; correct the existing errors to complete validation]",
            "",
        );
        let wanted = format!("Rule.test.example \"a\" is invalid: {wanted}");
        assert_eq!(message, wanted.replace('[', ""));
    }
    let strict = PostParams::default();
    let unknown = rules
        .create(&strict, &rule("a", json!({"where": "a", "x": 1})))
        .await
        .unwrap();
    assert_eq!(unknown.data["spec"], json!({"where": "a", "order": 0}));
}

#[tokio::test]
async fn the_status_is_written_by_itself() {
    let (api, client) = double().await;
    api.put(definition());
    let rules = rules(client);
    let made = rules
        .create(&PostParams::default(), &rule("a", json!({"where": "here"})))
        .await
        .unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let patch = Patch::Merge(json!({"status": {"state": "fine"}, "spec": {"where": "there"}}));
    let params = PatchParams::default();
    let written = rules.patch_status("a", &params, &patch).await.unwrap();
    assert_eq!(written.data["status"]["state"], "fine");
    assert_eq!(written.data["spec"]["where"], "here");
    assert_eq!(written.metadata.generation, Some(1));
    let patch = Patch::Merge(json!({"status": {"state": "bad"}, "spec": {"where": "there"}}));
    let written = rules.patch("a", &params, &patch).await.unwrap();
    assert_eq!(written.data["status"]["state"], "fine");
    assert_eq!(written.data["spec"]["where"], "there");
    assert_eq!(written.metadata.generation, Some(2));
}

#[tokio::test]
async fn managers_keep_what_they_applied() {
    let (api, client) = double().await;
    api.put(definition());
    let rules = rules(client);
    let apply = |manager: &str| PatchParams::apply(manager);
    let of = |spec: Value| Patch::Apply(rule("a", spec));
    let one = of(json!({"where": "here", "to": [{"name": "x", "weight": 1}]}));
    rules.patch("a", &apply("one"), &one).await.unwrap();
    let two = of(json!({"to": [{"name": "y", "weight": 2}]}));
    let both = rules.patch("a", &apply("two"), &two).await.unwrap();
    assert_eq!(both.data["spec"]["to"].as_array().unwrap().len(), 2);

    let theirs = of(json!({"where": "there"}));
    let refused = rules.patch("a", &apply("two"), &theirs).await;
    let status = kit::refusal(refused);
    assert_eq!(status.reason, "Conflict");
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.where"
    );
    let forced = rules
        .patch("a", &apply("two").force(), &theirs)
        .await
        .unwrap();
    assert_eq!(forced.data["spec"]["where"], "there");
    let items = forced.data["spec"]["to"].as_array().unwrap().clone();
    assert_eq!(items, [json!({"name": "x", "weight": 1})]);

    let version = forced.metadata.resource_version;
    let again = rules
        .patch("a", &apply("two").force(), &theirs)
        .await
        .unwrap();
    assert_eq!(again.metadata.resource_version, version);
}

#[tokio::test]
async fn a_wrong_definition_is_refused() {
    let (api, client) = double().await;
    let definitions: Api<DynamicObject> =
        Api::all_with(client, &ApiResource::erase::<CustomResourceDefinition>(&()));
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    for (path, value, wanted) in [
        (
            "/metadata/name",
            json!("other.test.example"),
            "metadata.name",
        ),
        ("/spec/group", json!("test"), "metadata.name spec.group"),
        ("/spec/scope", json!("Everywhere"), "spec.scope"),
        (
            &format!("{schema}/properties/where/type"),
            json!(""),
            "spec.validation.openAPIV3Schema.properties[spec].properties[where].type",
        ),
        (
            &format!("{schema}/x-kubernetes-validations/0/rule"),
            json!("self.where !="),
            "spec.validation.openAPIV3Schema.properties[spec].\
             x-kubernetes-validations[0].rule",
        ),
    ] {
        let mut definition = definition();
        *definition.pointer_mut(path).unwrap() = value;
        let definition = serde_json::from_value(definition).unwrap();
        let refused = definitions
            .create(&PostParams::default(), &definition)
            .await;
        let fields = kit::fields(refused).join(" ");
        assert_eq!(fields, wanted, "{path}");
    }
    drop(api);
}
