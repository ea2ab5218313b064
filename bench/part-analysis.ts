/** Part `analysis`: the whole analysis of a first payload beside the Go blocker's. */
import { benchAnalysis, type AnalysisReport, type AnalysisRow } from './analysis.js';
import { ns } from './part-detectors.js';
import type { Context } from './context.js';
import { less, target, type Outcome, type Table, type Target } from './result.js';

/** Of Go's time: a whole analysis, and the check of one header. */
const wholeRatioMax = 1;
const checkRatioMax = 3;

const ratio = (value: number | null): string => (value === null ? '-' : value.toFixed(2));

function goCells({ goNs, goAnswer, publishedNs }: AnalysisRow): string[] {
  return [goNs === null ? '-' : `${ns(goNs)} (${goAnswer ?? '-'})`, ns(publishedNs)];
}

function wholeTable(report: AnalysisReport): Table {
  return {
    title: 'Whole analysis, ns per packet',
    head: [
      'payload',
      'detectors',
      'whole packet',
      'Go, this run',
      'Go, published',
      'detectors / Go',
      'whole packet / Go',
    ],
    rows: report.rows
      .filter(({ check }) => check === 'analysis')
      .map((row) => [
        row.payload,
        ns(row.detectorsNs),
        row.engineNs === null ? '-' : ns(row.engineNs),
        ...goCells(row),
        ratio(row.detectorsRatio),
        ratio(row.engineRatio),
      ]),
    notes: [
      'Detectors: all that the engine asks about this payload as the first of its flow, chosen by its first byte and, of a datagram, by its header. Whole packet: decoding, flow table, detectors, naming, memory of the swarm; the flow of a TCP packet was begun by its SYN, that of a UDP packet begins with it.',
      'Go: AnalyzePacket alone, without gopacket and without a flow table. Its answer in brackets.',
      ...goNotes(report),
      ...report.rows
        .filter(({ check }) => check === 'analysis')
        .map(({ payload, answers }) => `Asked about ${payload}: ${answers === '' ? 'nobody' : answers}.`),
    ],
  };
}

function goNotes({ go, goAbsent, turns }: AnalysisReport): string[] {
  if (go !== null)
    return [
      `${go}. Medians of ${turns} turns of both sides; ratios within a turn, then their median. Of the samples of a turn the lower quartile counts.`,
    ];
  return [
    `Go was not measured: ${goAbsent ?? ''}. Ratios are to the PUBLISHED figures, of a machine of the same kind in November 2026 with payloads of its own.`,
  ];
}

function checkTable(report: AnalysisReport): Table {
  return {
    title: 'Single header checks, ns per call',
    head: [
      'payload',
      'our check',
      'Go, this run',
      'Go, published',
      'ours / Go',
      'our detector, whole message',
    ],
    rows: report.rows
      .filter(({ check }) => check !== 'analysis')
      .map((row) => [
        row.payload,
        ns(row.detectorsNs),
        ...goCells(row),
        ratio(row.detectorsRatio),
        row.messageNs === null ? '-' : ns(row.messageNs),
      ]),
    notes: [
      "Our check: the detector's header check, which the engine makes before it shows a datagram to the detector; it decides nothing alone. Go's check is its answer.",
      'Whole message: read to its last byte, with the info-hash, client, peers and port that it names; clearing the view is in the figure.',
    ],
  };
}

function targetsOf({ rows, go }: AnalysisReport): Target[] {
  const beside = go === null ? 'published figure of Go' : 'Go';
  return rows.map(({ payload, check, detectorsRatio }) =>
    target(
      `${payload}, ${check === 'analysis' ? 'detectors' : 'check'} beside ${beside}`,
      detectorsRatio,
      ['<=', check === 'analysis' ? wholeRatioMax : checkRatioMax],
      ' times',
    ),
  );
}

export function analysisOutcome(report: AnalysisReport): Outcome {
  return {
    tables: [wholeTable(report), checkTable(report)],
    figures: report.rows.flatMap(({ payload, detectorsNs, engineNs, messageNs }) => [
      less(`${payload}, ${messageNs === null ? 'detectors' : 'header check'}`, detectorsNs, 'ns'),
      ...(messageNs === null ? [] : [less(`${payload}, whole message`, messageNs, 'ns')]),
      ...(engineNs === null ? [] : [less(`${payload}, whole packet`, engineNs, 'ns')]),
    ]),
    targets: targetsOf(report),
  };
}

export function measureAnalysis({ quick, repeat, rounds }: Context): Outcome {
  return analysisOutcome(benchAnalysis(quick ? 1 : repeat + 2, Math.ceil(rounds / 2)));
}
