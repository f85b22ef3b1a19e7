from lab.objects import named, objects, of_kind


def test_the_service_is_reached_inside_only() -> None:
    (service,) = of_kind("Service", objects())

    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    assert of_kind("Ingress", objects()) == []


def test_the_ingress_leads_to_the_service() -> None:
    (told,) = of_kind("Ingress", objects(ingress={"host": "sf.example.test", "tls": "sf-tls"}))

    (rule,) = told["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert told["spec"]["ingressClassName"] == "traefik"
    assert told["spec"]["tls"] == [{"hosts": ["sf.example.test"], "secretName": "sf-tls"}]
    assert rule["host"] == "sf.example.test"
    assert path == {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "sf", "port": {"name": "http"}}}}
    assert "tls" not in of_kind("Ingress", objects(ingress={"host": "sf.example.test"}))[0]["spec"]


def test_the_probe_paths_pass_where_the_rest_asks_for_a_login() -> None:
    ingress = {"host": "h.test", "annotations": {"a.test/all": "1"}, "guard": {"a.test/login": "yes"}}

    told = named(objects(ingress=ingress))

    guarded, open_ = told["Ingress", "sf"], told["Ingress", "sf-probes"]
    assert guarded["metadata"]["annotations"] == {"a.test/all": "1", "a.test/login": "yes"}
    assert open_["metadata"]["annotations"] == {"a.test/all": "1"}
    paths = open_["spec"]["rules"][0]["http"]["paths"]
    assert [(path["path"], path["pathType"]) for path in paths] == [
        ("/api/healthz", "Exact"),
        ("/api/ready", "Exact"),
        ("/api/version", "Exact"),
    ]


def test_only_who_is_named_connects() -> None:
    (told,) = of_kind("NetworkPolicy", objects(network={"namespaces": ["traefik"], "addresses": ["10.0.0.0/8"]}))
    (nobody,) = of_kind("NetworkPolicy", objects(network={"namespaces": []}))

    ports = [{"port": "http", "protocol": "TCP"}]
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}
    assert told["spec"]["policyTypes"] == ["Ingress"]
    assert told["spec"]["ingress"] == [
        {"from": [namespace], "ports": ports},
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": ports},
    ]
    assert "ingress" not in nobody["spec"]
