"""Three Ray nodes on this machine, the last of which loads no plug-ins: `python two_nodes.py RUN_FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from verl.workers.rollout.router import get_router_handle
from verl_world.world import compose_small, make_client, read_rows, roll_out_v0, start_server

from vapo.errors import ConfigError
from vapo.verl.check import check_run
from vapo.verl.cluster import check_nodes, look_at_nodes


def main(folder: Path) -> None:
    os.environ.update(RAY_worker_niceness="0", RAY_AUTH_MODE="disabled")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=2)
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    variables = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ray.init(cluster.address, logging_level="ERROR", runtime_env={"env_vars": variables})
    checked = check_run(folder)
    print("nodes:", checked.num_nodes, "rows:", checked.num_rows)

    config = compose_small(folder, {"actor_rollout_ref.rollout.agent.num_workers": 2})
    server = start_server(config)
    client = make_client(config, get_router_handle(servers={"small": server}))
    batch = roll_out_v0(config, client, read_rows(config, 2))
    actors = ray._private.state.actors().values()  # the public list is the dashboard's
    nodes = {actor["Address"]["NodeID"] for actor in actors if actor["ActorClassName"] == "AgentLoopWorker"}
    print("workers on nodes:", len(nodes))
    print("probes:", int(sum(batch.non_tensor_batch["probes_asked"])))

    cluster.add_node(num_cpus=1, env_vars={"VERL_USE_EXTERNAL_PLUGINS": "none"})
    cluster.wait_for_nodes()
    try:
        check_nodes(look_at_nodes([]))
    except ConfigError as error:
        print("refused:", error)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
