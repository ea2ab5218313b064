/** Comfort for the HTML report: search, open and close all, copy. Nothing essential depends on it. */
export const htmlScript = `
(() => {
  'use strict';
  const copyText = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement('textarea');
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    const label = button.textContent;
    button.textContent = 'copied';
    setTimeout(() => { button.textContent = label; }, 1200);
  };
  for (const code of document.querySelectorAll('code.filter')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = 'copy';
    button.setAttribute('aria-label', 'copy ' + code.textContent);
    button.addEventListener('click', () => copyText(code.textContent, button));
    code.after(button);
  }
  const hosts = document.getElementById('hosts');
  const tools = document.getElementById('tools');
  if (!hosts || !tools) return;
  tools.hidden = false;
  const search = tools.querySelector('input');
  const status = tools.querySelector('output');
  const rows = [...hosts.querySelectorAll('details.host')].map((host) => ({
    host,
    name: host.querySelector('summary').textContent.toLowerCase(),
    flows: [...host.querySelectorAll('details.flow')].map((flow) => ({ flow, text: flow.textContent.toLowerCase() })),
  }));
  search.addEventListener('input', () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const { host, name, flows } of rows) {
      const whole = name.includes(wanted);
      let any = whole;
      for (const { flow, text } of flows) {
        flow.hidden = !whole && !text.includes(wanted);
        if (!flow.hidden) { any = true; shown++; }
      }
      host.hidden = !any;
      if (wanted !== '' && any && !whole) host.open = true;
    }
    status.textContent = wanted === '' ? '' : shown + ' flows match';
  });
  const [open, close] = tools.querySelectorAll('button');
  open.addEventListener('click', () => { for (const { host } of rows) host.open = true; });
  close.addEventListener('click', () => { for (const d of hosts.querySelectorAll('details')) d.open = false; });
})();
`;
