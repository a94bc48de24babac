// The official JavaScript client's KubernetesObjectApi, on a built-in kind and on one that it defines itself.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import * as k8s from '@kubernetes/client-node';

const LIMIT = 20_000;
const PERIOD = 50;

const config = new k8s.KubeConfig();
config.loadFromDefault();
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const { JsonPatch, MergePatch, ServerSideApply } = k8s.PatchStrategy;

async function refused(code, call) {
  const error = await call.then(
    () => assert.fail('it was not refused'),
    (error) => error,
  );
  assert.equal(error.code, code, error);
  return JSON.stringify(error.body);
}

// Asks until there is an answer.
async function until(what, ask) {
  const end = Date.now() + LIMIT;
  for (;;) {
    const found = await ask();
    if (found) return found;
    assert.ok(Date.now() < end, `no ${what}`);
    await pause(PERIOD);
  }
}

const apply = (spec, manager, force) =>
  objects.patch(spec, undefined, undefined, manager, force, ServerSideApply);
const merge = (spec) => objects.patch(spec, undefined, undefined, undefined, undefined, MergePatch);

async function builtIn() {
  const web = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'web', image: 'hello:v1' }] },
      },
    },
  };
  const made = await objects.create(web);
  assert.equal(made.spec.revisionHistoryLimit, 10);
  await refused(409, objects.create(web));
  const read = await objects.read(web);
  assert.equal(read.metadata.uid, made.metadata.uid);
  const list = await objects.list('apps/v1', 'Deployment', 'default');
  assert.deepEqual(list.items.map((item) => item.metadata.name), ['web']);

  const header = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'default' } };
  const merged = await merge({ ...header, spec: { minReadySeconds: 2 } });
  assert.equal(merged.spec.minReadySeconds, 2);
  const containers = [{ name: 'web', env: [{ name: 'A', value: '1' }] }];
  // Its default is the strategic patch.
  const strategic = await objects.patch({ ...header, spec: { template: { spec: { containers } } } });
  assert.equal(strategic.spec.template.spec.containers[0].image, 'hello:v1');
  assert.equal(strategic.spec.template.spec.containers[0].env[0].name, 'A');
  // Its controller writes too: who comes second reads again.
  let newer;
  const replaced = await until('replacement', async () => {
    newer = await objects.read(web);
    newer.spec.paused = true;
    return objects.replace(newer).catch((error) => assert.equal(error.code, 409, error));
  });
  assert.equal(replaced.spec.paused, true);
  await refused(409, objects.replace({ ...newer, spec: { ...newer.spec, paused: false } }));

  // Who created it owns the defaults too.
  await apply({ ...header, spec: { progressDeadlineSeconds: 60 } }, 'one', true);
  const other = apply({ ...header, spec: { progressDeadlineSeconds: 70 } }, 'two');
  assert.match(await refused(409, other), /conflict with .*one.*: \.spec\.progressDeadlineSeconds/);
  const forced = await apply({ ...header, spec: { progressDeadlineSeconds: 70 } }, 'two', true);
  assert.equal(forced.spec.progressDeadlineSeconds, 70);
  const status = await objects.delete(web);
  assert.equal(status.status, 'Success');
  await until('end of the deployment', () => objects.read(web).then(() => false, (error) => error.code === 404));
}

async function custom() {
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'horns.node.coracle.dev' },
    spec: {
      group: 'node.coracle.dev',
      scope: 'Namespaced',
      names: { plural: 'horns', singular: 'horn', kind: 'Horn' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  required: ['loud'],
                  // The client calls `default` by this name.
                  properties: { loud: { type: 'boolean' }, blows: { type: 'integer', _default: 1 } },
                },
              },
            },
          },
        },
      ],
    },
  };
  await apply(definition, 'node');
  await until('established definition', async () => {
    const { status } = await objects.read(definition);
    return status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True');
  });
  const horn = {
    apiVersion: 'node.coracle.dev/v1',
    kind: 'Horn',
    metadata: { name: 'h', namespace: 'default' },
    spec: { loud: true },
  };
  await refused(422, objects.create({ ...horn, spec: {} }));
  const made = await objects.create(horn);
  assert.deepEqual(made.spec, { loud: true, blows: 1 });
  assert.equal((await merge({ ...horn, spec: { blows: 2 } })).metadata.generation, 2);
  await refused(415, objects.patch(horn));
  const applied = await apply({ ...horn, spec: { loud: true, blows: 3 } }, 'node', true);
  assert.equal(applied.spec.blows, 3);

  const typed = config.makeApiClient(k8s.CustomObjectsApi);
  const named = { group: 'node.coracle.dev', version: 'v1', namespace: 'default', plural: 'horns', name: 'h' };
  const body = [{ op: 'replace', path: '/spec/loud', value: false }];
  const header = k8s.setHeaderOptions('Content-Type', JsonPatch);
  const patched = await typed.patchNamespacedCustomObject({ ...named, body }, header);
  assert.equal(patched.spec.loud, false);
  const list = await objects.list('node.coracle.dev/v1', 'Horn', 'default');
  assert.deepEqual(list.items.map((item) => item.spec.blows), [3]);
  await objects.delete(horn);
  await refused(404, objects.read(horn));
  await objects.delete(definition);
}

for (const step of [builtIn, custom]) {
  await step();
  console.log(step.name, 'ok');
}
process.exit(0);
