package pipeline

// realInput is a small mesh whose addresses are all on the loopback interface, so that real sidecars can serve it
// without any redirection: each listens on the very addresses that its filter chains match. Ports are filled in.
const realInput = `
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec:
  traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: PERMISSIVE}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {openservicemesh.io/monitored-by: osm}}
---
apiVersion: v1
kind: Namespace
metadata: {name: client, labels: {openservicemesh.io/monitored-by: osm}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 127.0.77.1
  selector: {app: shop}
  ports: [{name: http, port: PORT_WEB, targetPort: PORT_WEB}]
---
apiVersion: v1
kind: Service
metadata: {name: rpc, namespace: shop}
spec:
  clusterIP: 127.0.77.2
  selector: {app: shop}
  ports: [{name: grpc, port: PORT_RPC, targetPort: PORT_RPC}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  clusterIP: 127.0.77.3
  selector: {app: shop}
  ports: [{name: tcp-server-first, port: PORT_DB, targetPort: PORT_DB}]
---
apiVersion: v1
kind: Pod
metadata:
  name: shop
  namespace: shop
  uid: shop
  labels: {app: shop, osm-proxy-uuid: shop}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: shop-v1-5d4f8, uid: "1", controller: true}]
  annotations: {ANNOTATIONS}
spec: {serviceAccountName: shop, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 127.0.88.1, podIPs: [{ip: 127.0.88.1}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: client
  uid: client
  labels: {app: client, osm-proxy-uuid: client}
  annotations: {CALLER_ANNOTATIONS}
spec: {serviceAccountName: client, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 127.0.88.2, podIPs: [{ip: 127.0.88.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reader, namespace: client, uid: reader, labels: {app: reader, osm-proxy-uuid: reader}}
spec: {serviceAccountName: reader, containers: [{name: app, image: app}]}
status: {phase: Running, podIP: 127.0.88.3, podIPs: [{ip: 127.0.88.3}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: shop}
spec:
  matches:
  - {name: public, pathRegex: "/public/.*"}
  - {name: exact, pathRegex: "/exact", methods: [GET]}
  - {name: socket, pathRegex: "/socket", methods: [GET]}
  - {name: rpc, pathRegex: "/pkg.Service/.*", methods: [POST]}
  - {name: tier, pathRegex: "/tier", headers: [{x-tier: "gold|silver"}]}
  - {name: host, pathRegex: "/host", headers: [{host: "web\\.shop(:[0-9]+)?"}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: client, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: shop, namespace: shop}
  sources: [{kind: ServiceAccount, name: client, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [public, exact, socket, rpc, tier, host]}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: reader, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: shop, namespace: shop}
  sources: [{kind: ServiceAccount, name: reader, namespace: client}]
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [exact]}]
`
