/** Sentences of the tab that is there inside PeerTube alone. */
export const SENTENCES = {
  plugin: 'Plugin',

  list: 'Related videos',
  related: 'Fill “Other videos” on the watch page',
  relatedText: 'When this is off, PeerTube shows its own list and nothing is asked of the daemon.',
  settings: 'All settings of the plugin',
  saved: 'Saved.',

  exclusions: 'Never suggest',
  exclusionsText: 'What is listed here is left out of suggestions and of training. One entry per line.',
  channels: 'Channels',
  channelsText: 'Address of a channel or its name and host, for example https://video.example/video-channels/news or news@video.example',
  hosts: 'Instances',
  hostsText: 'Host name, for example video.example',
  videos: 'Videos',
  videosText: 'Address of a video, for example https://video.example/w/abc',
  save: 'Save',
  badLine: 'Line {line} is not understood: {text}',
  notSaved: 'Nothing was saved. Correct the marked lists, then save again.'
}

/** @typedef {import('../lib/page.js').Page<keyof typeof SENTENCES, import('../lib/page.js').Helpers>} PluginPage */
