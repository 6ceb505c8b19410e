import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import 'qwen-webgpu/qwen-chat';
import type { ChatTool } from 'qwen-webgpu/qwen-chat';

const tools: ChatTool[] = [
  { name: 'roll_die', description: 'Rolls a die.', run: () => 1 + Math.floor(6 * Math.random()) },
];

function App() {
  const [answer, setAnswer] = useState('');
  return (
    <>
      <qwen-chat
        model="model.gguf"
        manual
        tools={tools}
        onqwen-message={({ detail: { message } }) => {
          if (message.role === 'assistant') setAnswer(String(message.content));
        }}
      />
      <output>{answer}</output>
    </>
  );
}

const main = document.querySelector('main');
if (main) createRoot(main).render(<App />);
