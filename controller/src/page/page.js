// Draws the snapshots of /live. Everything from the cluster goes in as text, never as markup.
"use strict";
history.replaceState(null, "", "/");

const age = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 120) return `${Math.max(0, seconds)}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
};

const draw = (id, rows, nothing) => {
  const body = document.getElementById(id);
  const made = rows.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const [text, look] = Array.isArray(cell) ? cell : [cell, ""];
      const td = document.createElement("td");
      td.textContent = text;
      if (look) td.className = look;
      row.append(td);
    }
    return row;
  });
  if (made.length === 0) {
    const row = document.createElement("tr");
    const td = document.createElement("td");
    td.colSpan = 7;
    td.className = "empty";
    td.textContent = nothing;
    row.append(td);
    made.push(row);
  }
  body.replaceChildren(...made);
};

const show = (s) => {
  draw("nodes", s.nodes.map((n) => [n.name, [n.status, n.ready ? "good" : "bad"], n.pods, n.agent, n.platform, age(n.age)]), "No node has joined yet.");
  draw("workloads", s.workloads.map((w) => [w.namespace, w.name, [`${w.ready}/${w.desired}`, w.ready >= w.desired ? "good" : "busy"], w.image, age(w.age)]), "No workload yet: kubectl apply one.");
  draw("pods", s.pods.map((p) => [p.namespace, p.name, [p.status, p.look], p.ready, [p.restarts, p.restarts > 0 ? "busy" : ""], p.node, age(p.age)]), "No pods.");
  draw("events", s.events.map((e) => [age(e.age), [e.type, e.type === "Normal" ? "" : "bad"], e.reason, e.object, e.message]), "No events.");
  const more = s.pods_total > s.pods.length ? `, ${s.pods.length} shown` : "";
  document.getElementById("summary").textContent =
    `${s.nodes_ready} of ${s.nodes_total} nodes ready, ${s.pods_total} pods${more}. ${s.time}`;
};

const live = new EventSource("/live");
live.onmessage = (message) => show(JSON.parse(message.data));
live.onerror = () => { document.getElementById("summary").textContent = "The controller does not answer; trying again…"; };
