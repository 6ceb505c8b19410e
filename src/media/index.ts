/** Picture files and videos to the pixels that the model sees. Knows no GPU. */
export { MediaLoader, type PreparedImage, type PreparedVideo } from './media-loader.ts';
export { type Size, targetSize } from './target-size.ts';
export { PageVideos } from './video-element.ts';
export type { VideoOptions } from './video-plan.ts';
export { NO_VIDEOS, type VideoFacts, type VideoSupply } from './video-supply.ts';
