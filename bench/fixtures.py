"""Rules and instances for a8sidecar, few and many.

Called are the services `s` (HTTP/1.1), `h` (HTTP/2) and `t` (bytes). Many rules are a mix as a
company with some hundred services would have it: most for services that are not called here, one in
twenty for `s`, and half of all with a regular expression over a header or the Cookie.
"""

SERVICES = 500
# What the requests carry where rules are compared, so that there is something to look at.
HEADERS = (
    "Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; user=guest",
    "X-Tenant: tenant-none",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)


def split(service, first=0.75):
    return {
        "id": f"split-{service}", "destination": service,
        "route": {"backends": [{"tags": ["v1"], "weight": first}, {"tags": ["v1"]}]},
    }


def canary(service):
    return {
        "id": f"user-{service}", "priority": 2, "destination": service,
        "match": {"headers": {"Cookie": ".*user=jason.*"}}, "route": {"backends": [{"tags": ["v2"]}]},
    }


# What is in force where proxies are compared.
BASE = [canary("s"), split("s"), canary("h"), split("h"), split("t")]


def rules(count):
    """So many rules, among them the split of `s` that all requests end up at."""
    return [split("s"), *(mixed(n) for n in range(count - 1))]


def mixed(n):
    service = "s" if n % 20 == 0 else f"service-{n % SERVICES}"
    rule = {"id": f"rule-{n}", "priority": 1 + n % 7, "destination": service}
    tags = [{"tags": ["v2"], "weight": 0.1}, {"tags": ["v1"]}]
    match n // 20 % 8 if service == "s" else n % 8:
        case 0:
            rule |= {"match": {"headers": {"Cookie": f".*user=user{n}(;.*)?"}}, "route": {"backends": tags}}
        case 1:
            rule |= {"match": {"headers": {"X-Tenant": f"tenant-{n}"}}, "route": {"backends": tags}}
        case 2:
            rule |= {"match": {"headers": {"User-Agent": f".*(Firefox|Chrome)/{200 + n}[.].*"}}, "route": {"backends": tags}}
        case 3:
            rule |= {"match": {"source": {"name": f"caller-{n}", "tags": ["v1"]}}, "route": {"backends": tags}}
        case 4:
            rule |= {
                "match": {"headers": {"X-Tenant": f"(blue|green)-{n}"}, "none": [{"headers": {"X-Debug": "1"}}]},
                "actions": [{"action": "delay", "duration": 0.5, "probability": 0.1}],
            }
        case 5:
            rule |= {
                "match": {"any": [{"source": {"name": f"web-{n}"}}, {"source": {"name": f"mobile-{n}"}}]},
                "route": {"backends": tags, "http_req_retries": 2},
            }
        case 6:
            rule |= {"route": {"uri": {"prefix": f"/api/{n}", "prefix_rewrite": "/"}, "backends": [{"tags": ["v1"]}]}}
        case _:
            # A default of its service; that of `s` is the split.
            rule |= {"match": {"headers": {"X-Stage": f"canary-{n}"}}} if service == "s" else {}
            rule |= {"route": {"backends": tags}}
    return rule


def instance(service, address, **more):
    kind = "tcp" if service == "t" else "http"
    return {"service_name": service, "tags": ["v1"], "status": "UP", "endpoint": {"type": kind, "value": address}} | more


def instances(backend, called=1, others=0):
    """The called services, `s` with so many instances, each an address of loopback, and as many
    instances of other services as are wanted."""
    found = [
        instance("h", f"127.0.0.1:{backend.http}", metadata={"protocol": "h2"}),
        instance("t", f"127.0.0.1:{backend.tcp}"),
    ]
    found += [instance("s", f"127.0.{n // 250}.{n % 250 + 1}:{backend.http}") for n in range(called)]
    found += [instance(f"service-{n % SERVICES}", f"10.1.{n // 250}.{n % 250 + 1}:8080") for n in range(others)]
    return found
