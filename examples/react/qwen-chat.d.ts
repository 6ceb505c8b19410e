/** `<qwen-chat>` in JSX: its properties, and its events as `onqwen-…`. */

import type { QwenChat, QwenChatEventMap, QwenChatProperties } from 'qwen-webgpu/qwen-chat';
import type { HTMLAttributes, Ref } from 'react';

type Listeners = { [Type in keyof QwenChatEventMap as `on${Type}`]?: (event: QwenChatEventMap[Type]) => void };

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'qwen-chat': Partial<QwenChatProperties> & Listeners & HTMLAttributes<QwenChat> & { ref?: Ref<QwenChat> };
    }
  }
}
