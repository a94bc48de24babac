// The official JavaScript client's typed API: lists, watches, every patch, apply with owners, an informer.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as k8s from '@kubernetes/client-node';

const LIMIT = 20_000;
const namespace = 'typed';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);

async function refused(code, call) {
  const error = await call.then(
    () => assert.fail('it was not refused'),
    (error) => error,
  );
  assert.equal(error.code, code, error);
  return JSON.stringify(error.body);
}

function map(name, data) {
  return { metadata: { name, labels: { app: 't' } }, data };
}

const create = (name, data) => core.createNamespacedConfigMap({ namespace, body: map(name, data) });

async function lists() {
  const made = await core.createNamespace({ body: { metadata: { name: namespace } } });
  assert.equal(made.status.phase, 'Active');
  assert.ok(made.metadata.creationTimestamp instanceof Date);
  for (const name of 'abcde') await create(name, { k: '1' });
  await refused(409, create('a'));
  await refused(422, create('not_a_name'));
  await refused(404, core.readNamespacedConfigMap({ namespace, name: 'gone' }));

  const names = [];
  let page;
  do {
    page = await core.listNamespacedConfigMap({
      namespace,
      labelSelector: 'app=t',
      limit: 2,
      _continue: page?.metadata._continue,
    });
    assert.ok(page.items.length <= 2);
    names.push(...page.items.map((item) => item.metadata.name));
  } while (page.metadata._continue);
  assert.deepEqual(names, [...'abcde']);
  const only = await core.listConfigMapForAllNamespaces({ fieldSelector: 'metadata.name=c' });
  assert.deepEqual(only.items.map((item) => item.metadata.namespace), [namespace]);
}

// Everything that a watch says, until `enough` or its end.
function watch(query, enough) {
  const seen = [];
  return new Promise((resolve, reject) => {
    let open;
    const timer = setTimeout(() => reject(new Error(`seen: ${JSON.stringify(seen)}`)), LIMIT);
    const end = (error) => {
      clearTimeout(timer);
      error && error.name !== 'AbortError' ? reject(error) : resolve(seen);
    };
    const event = (type, object) => {
      seen.push({ type, object });
      if (enough(type)) open.then((request) => request.abort());
    };
    open = new k8s.Watch(config).watch(`/api/v1/namespaces/${namespace}/configmaps`, query, event, end);
  });
}

async function watches() {
  const { metadata } = await core.listNamespacedConfigMap({ namespace });
  await create('f');
  await core.replaceNamespacedConfigMap({ namespace, name: 'a', body: map('a', { k: '2' }) });
  await core.deleteNamespacedConfigMap({ namespace, name: 'b' });
  const from = { resourceVersion: metadata.resourceVersion, labelSelector: 'app=t' };
  const seen = await watch(from, (type) => type === 'DELETED');
  assert.deepEqual(
    seen.map(({ type, object }) => [type, object.metadata.name]),
    [['ADDED', 'f'], ['MODIFIED', 'a'], ['DELETED', 'b']],
  );

  // The controller was started again since revision 1.
  const [gone, ...more] = await watch({ resourceVersion: '1' }, () => false);
  assert.equal(gone.type, 'ERROR');
  assert.equal(gone.object.code, 410);
  assert.match(gone.object.message, /^too old resource version: 1 /);
  assert.deepEqual(more, []);

  const streamed = await watch(
    {
      allowWatchBookmarks: true,
      sendInitialEvents: true,
      resourceVersionMatch: 'NotOlderThan',
      labelSelector: 'app=t',
    },
    (type) => type === 'BOOKMARK',
  );
  const last = streamed.pop();
  assert.equal(last.object.metadata.annotations['k8s.io/initial-events-end'], 'true');
  assert.deepEqual(streamed.map(({ object }) => object.metadata.name), [...'acdef']);
}

async function patches() {
  const container = { name: 'web', image: 'hello:v1', env: [{ name: 'A', value: '1' }] };
  const made = await apps.createNamespacedDeployment({
    namespace,
    body: {
      metadata: { name: 'web' },
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: 'web' } },
        template: { metadata: { labels: { app: 'web' } }, spec: { containers: [container] } },
      },
    },
  });
  assert.equal(made.spec.strategy.type, 'RollingUpdate');

  const patch = (strategy, body, more) =>
    apps.patchNamespacedDeployment(
      { namespace, name: 'web', body, ...more },
      k8s.setHeaderOptions('Content-Type', strategy),
    );
  const { JsonPatch, MergePatch, StrategicMergePatch } = k8s.PatchStrategy;
  const add = { op: 'add', path: '/metadata/annotations', value: { by: 'json' } };
  const annotated = await patch(JsonPatch, [add]);
  assert.equal(annotated.metadata.annotations.by, 'json');
  const wrong = { op: 'test', path: '/metadata/annotations/by', value: 'merge' };
  await refused(422, patch(JsonPatch, [wrong]));
  const merged = await patch(MergePatch, { metadata: { annotations: { by: null, also: 'merge' } } });
  assert.equal(merged.metadata.annotations.by, undefined);
  assert.equal(merged.metadata.annotations.also, 'merge');
  const more = { name: 'web', env: [{ name: 'B', value: '2' }] };
  const strategic = await patch(StrategicMergePatch, {
    spec: { template: { spec: { containers: [more] } } },
  });
  const [web] = strategic.spec.template.spec.containers;
  assert.deepEqual(web.env.map((one) => one.name).sort(), ['A', 'B']);
  const scale = await apps.patchNamespacedDeploymentScale(
    { namespace, name: 'web', body: { spec: { replicas: 0 } } },
    k8s.setHeaderOptions('Content-Type', MergePatch),
  );
  assert.equal(scale.status.selector, 'app=web');
  const typo = { spec: { typo: 1 } };
  await refused(422, patch(MergePatch, typo, { fieldValidation: 'Strict' }));
}

async function applies() {
  const apply = (fieldManager, data, more) =>
    core.patchNamespacedConfigMap(
      {
        namespace,
        name: 'c2',
        fieldManager,
        body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c2' }, data },
        ...more,
      },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.ServerSideApply),
    );
  await apply('one', { a: '1', b: '1' });
  assert.match(await refused(409, apply('two', { a: '2' })), /conflict with .*one.*: \.data\.a/);
  assert.deepEqual((await apply('two', { a: '2' }, { force: true })).data, { a: '2', b: '1' });
  const left = await apply('one', { c: '1' });
  assert.deepEqual(left.data, { a: '2', c: '1' });
  const managers = left.metadata.managedFields.map((entry) => entry.manager);
  assert.deepEqual(managers, ['one', 'two']);
  await apply('one', { c: '9' }, { dryRun: 'All' });
  assert.equal((await core.readNamespacedConfigMap({ namespace, name: 'c2' })).data.c, '1');
}

// The client's informer lists, then watches from there.
async function informs() {
  const secret = (name) => core.createNamespacedSecret({ namespace, body: { metadata: { name } } });
  await secret('before');
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  const informer = k8s.makeInformer(config, path, () => core.listNamespacedSecret({ namespace }));
  const seen = new EventTarget();
  for (const verb of ['add', 'update', 'delete']) {
    informer.on(verb, (object) => seen.dispatchEvent(new Event(`${verb} ${object.metadata.name}`)));
  }
  informer.on('error', (error) => assert.fail(error));
  const next = (name) => once(seen, name, { signal: AbortSignal.timeout(LIMIT) });

  let change = next('add before');
  await informer.start();
  await change;
  change = next('add after');
  await secret('after');
  await change;
  change = next('update after');
  await core.replaceNamespacedSecret({
    namespace,
    name: 'after',
    body: { metadata: { name: 'after' }, stringData: { k: 'v' } },
  });
  await change;
  change = next('delete before');
  await core.deleteNamespacedSecret({ namespace, name: 'before' });
  await change;
  assert.deepEqual(informer.list(namespace).map((one) => one.metadata.name), ['after']);
  await informer.stop();
}

for (const step of [lists, watches, patches, applies, informs]) {
  await step();
  console.log(step.name, 'ok');
}
process.exit(0);
